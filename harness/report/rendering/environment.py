"""The Jinja environment in which the templates of the report are rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def environment(*, autoescape: bool, **delimiters: Any) -> Environment:
    """An environment that loads ``harness/report/templates`` and raises an error if a variable is undefined.

    Args:
        autoescape: Whether values are escaped for HTML.
        delimiters: Options of :class:`jinja2.Environment`, such as ``block_start_string``.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("harness.report"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        **delimiters,
    )
