"""Makes ``import symbench`` work in a checkout that is not installed; an installation has the package itself."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

_spec = spec_from_file_location(__name__, Path(__file__).parent / "harness" / "public" / "symbench" / "__init__.py")
assert _spec is not None and _spec.loader is not None
sys.modules[__name__] = module_from_spec(_spec)
_spec.loader.exec_module(sys.modules[__name__])
