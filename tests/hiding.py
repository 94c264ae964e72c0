"""The start of a program for which no extra is installed."""

from __future__ import annotations

WITH_THE_CORE = ("aiohttp", "jinja2", "markupsafe", "networkx")
"""Packages of extras that torch and PyG bring, so that an installation of the core has them."""

HIDING = f"""
import sys
from importlib.metadata import packages_distributions
from tasks.extras import EXTRAS

HIDDEN = {{package for packages in EXTRAS.values() for package in packages}} - set({WITH_THE_CORE})
OWNERS = packages_distributions()
DISTRIBUTIONS = {{owner for package in HIDDEN for owner in OWNERS.get(package, ())}}

class Without:
    '''A finder that finds no package of an extra, and does not know that one is installed.'''

    def __init__(self, finder):
        self._finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in HIDDEN else self._finder.find_spec(name, path, target)

    def find_distributions(self, context):
        found = getattr(self._finder, "find_distributions", lambda context: ())(context)
        return (one for one in found if one.metadata["Name"] not in DISTRIBUTIONS)

    def __getattr__(self, name):
        return getattr(self._finder, name)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
"""
"""Set ``HIDDEN`` to hide less."""
