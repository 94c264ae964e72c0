"""A site of results: static pages of several bundles, for any static host."""

from harness.site.writing import Outcome, add_bundle, write_site

__all__ = ["Outcome", "add_bundle", "write_site"]
