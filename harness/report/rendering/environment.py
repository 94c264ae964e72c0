"""The Jinja environment in which the templates of the report are rendered."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def environment(*, autoescape: bool, **delimiters: Any) -> Environment:
    """An environment that loads ``harness/report/templates`` and raises an error if a variable is undefined.

    Args:
        autoescape: Whether values are escaped for HTML.
        delimiters: Options of :class:`jinja2.Environment`, such as ``block_start_string``.
    """
    return Environment(
        loader=PackageLoader("harness.report"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **delimiters,
    )
