"""Shows the roles of docstrings, such as ``:class:`Card` ``, as plain code."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

ROLE = re.compile(r":(?:class|func|meth|mod|data|attr):`~?([^`]+)`")


class Roles(Extension):
    """Replaces ``:class:`~a.b.Card` `` by its name in code."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """Changes the docstring of an object once it is read."""
        if obj.docstring:
            obj.docstring.value = ROLE.sub(lambda found: f"`{found[1].rpartition('.')[2]}`", obj.docstring.value)
