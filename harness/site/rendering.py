"""The pages and the shared files of a site."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from harness.report.rendering.html import html_environment, shared_files
from harness.site.pages import Site


def rendered(site: Site) -> Iterator[tuple[str, str]]:
    """The path and the text of every file of a site except its bundles."""
    links = _Links(site.links)
    jinja = html_environment(links.href)
    yield from ((f"assets/{name}", text) for name, text in shared_files(jinja).items())
    for page in site.pages():
        links.here = page.path
        yield page.path, jinja.get_template(page.template).render(**page.contents, root=root(page.path))


class _Links:
    """Where the links of a page lead; ``here`` is the file of the page."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = files
        self.here = ""

    def href(self, id_: str) -> str:
        """A relative link to the file that ``id_`` names, or to the element of this page."""
        file = self._files.get(id_, self.here)
        return f"#{id_}" if file == self.here else f"{root(self.here)}{file}"


def root(path: str) -> str:
    """The relative path from a file of a site to its folder."""
    return "../" * (len(PurePosixPath(path).parts) - 1)
