"""Commands that write a site of results: site, site add."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import JsonOption, local, store_place
from harness.cli.printing import needed_store, shown
from harness.errors import SiteError
from tasks.extras import require

if TYPE_CHECKING:
    from harness.records.store import Store
    from harness.site import Outcome

SITE = "results/site"

app = typer.Typer()
site_app = typer.Typer(
    help="Write the results of several stores and bundles as static pages; add bundles of others to them.",
    invoke_without_command=True,
)
app.add_typer(site_app, name="site")


@site_app.callback()
def site(
    context: typer.Context,
    out: Annotated[
        Path, typer.Option(parser=local, metavar="DIR", help="The folder of the site; a site there is written again.")
    ] = SITE,  # type: ignore[assignment]  # the parser makes a path of it
    stores: Annotated[
        list[str] | None,
        typer.Option("--store", parser=store_place, metavar="STORE", help="Add the runs of this store."),
    ] = None,
    bundles: Annotated[
        list[Path] | None,
        typer.Option("--bundle", parser=local, metavar="FILE", help="Add this bundle, written by symbench export."),
    ] = None,
    sources: Annotated[
        Path | None,
        typer.Option(parser=local, metavar="DIR", help="Add all stores and .zip bundles directly in this folder."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write static pages for several stores and bundles: a front page, one a task, one a method, changes over time.

    The site keeps a bundle of each store, so it can be moved to any static host and written again without the stores.
    """
    if context.invoked_subcommand is not None:
        return
    require("symbench site", "jinja2", "markupsafe", "plotly")
    from harness.site import write_site

    found = [(_name(address), needed_store(address)) for address in stores or ()]
    packed = list(bundles or ())
    if sources is not None:
        found += _stores_in(sources)
        packed += sorted(sources.glob("*.zip"))
        if not found and not packed:
            raise SiteError(f"There is no store and no bundle directly in {sources}: name another folder.")
    _print(out, write_site(out, stores=found, bundles=packed), as_json)


@site_app.command("add")
def add(
    bundle: Annotated[
        Path, typer.Argument(parser=local, metavar="BUNDLE", help="A folder or .zip file written by symbench export.")
    ],
    folder: Annotated[Path, typer.Option("--site", parser=local, metavar="DIR", help="The folder of the site.")] = SITE,  # type: ignore[assignment]
    as_json: JsonOption = False,
) -> None:
    """Verify a bundle (checksums, digests, records), add it to a site and write the pages again."""
    require("symbench site", "jinja2", "markupsafe", "plotly")
    from harness.site import add_bundle

    _print(folder, add_bundle(folder, bundle), as_json)


def _stores_in(folder: Path) -> Iterator[tuple[str, Store]]:
    from harness.records.layout import stores_in

    return ((_name(str(path)), needed_store(str(path))) for path in stores_in(folder))


def _name(address: str) -> str:
    """The name of a store for readers: that of its folder, or of the one around it if it is called ``store``."""
    parts = [part for part in Path(address.partition("://")[2] or address).absolute().parts if part != "store"]
    return parts[-1]


def _print(folder: Path, outcome: Outcome | None, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"site": str(folder), "changed": outcome and asdict(outcome)}, indent=1))
        return
    if outcome is None:
        typer.echo(f"The site {shown(folder)} has all runs of this bundle already: nothing was changed.")
        return
    from harness.report.rendering.formats import counted

    for sentence in outcome.sentences():
        typer.echo(sentence)
    counts = {"task": outcome.tasks, "method": outcome.methods, "bundle": len(outcome.sources)}
    pages = ", ".join(counted(n, word) for word, n in counts.items())
    typer.echo(f"Site: {shown(folder / 'index.html')} ({pages})")
