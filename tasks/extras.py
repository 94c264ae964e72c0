"""The extras of the package ``symbench``, and the one sentence about a package that is not installed (no torch).

``pip install symbench`` brings what training in this process and reading results need. All other packages belong to an
extra, and code imports them where it needs them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec

from tasks.errors import MissingExtra

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "graphs": ("networkx", "pynauty", "pysat"),
    "report": ("jinja2", "markupsafe", "matplotlib", "plotly"),
    "cluster": ("ray", "mlflow", "aiohttp", "grpc", "psycopg2", "s3fs"),
    "search": ("optuna",),  # and all of cluster
    "vision": ("huggingface_hub", "sklearn", "transformers", "trimesh"),
}
"""The packages of each extra, by the names under which they are imported."""


def sentence(what: str, extra: str) -> str:
    """Returns which extra something needs and the command that installs it, without a full stop."""
    return f"{what} needs the extra '{extra}': pip install 'symbench[{extra}]'"


def installed(package: str) -> bool:
    """Whether a package is installed. It is not imported."""
    return find_spec(package) is not None


def missing(extra: str) -> list[str]:
    """Returns the packages of an extra that are not installed."""
    return [package for package in EXTRAS[extra] if not installed(package)]


def require(what: str, *packages: str) -> None:
    """Checks that packages are installed, without importing them.

    Args:
        what: The subject of the sentence, such as ``symbench run``.
        packages: Packages of :data:`EXTRAS`.

    Raises:
        MissingExtra: One is not installed.
    """
    for package in packages:
        if not installed(package):
            raise MissingExtra(sentence(what, _extra_of(package)))


@contextmanager
def named_extras(what: str = "This") -> Iterator[None]:
    """Names the extra if an import inside fails because a package of an extra is not installed. Also a decorator.

    Args:
        what: The subject of the sentence.

    Raises:
        MissingExtra: A package of an extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if extra := _extra_of((error.name or "").partition(".")[0]):
            raise MissingExtra(sentence(what, extra)) from error
        raise


def _extra_of(package: str) -> str:
    """The extra that a package belongs to; empty if it belongs to none."""
    return next((extra for extra, packages in EXTRAS.items() if package in packages), "")
