"""The commands show and schema."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import root
from harness.search.schema import search_schema
from harness.settings_reference import entries
from harness.suites.schema import suite_schema

ROOT = Path(root.__file__).resolve().parents[2]
HEAVY = ("torch", "ray", "mlflow", "polars", "plotly")


def symbench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    monkeypatch.setattr(sys, "argv", ["symbench", *words])
    with pytest.raises(SystemExit) as ended:
        root.main()
    said = capsys.readouterr()
    assert (ended.value.code or 0, said.err) == (0, "")
    return said.out


def test_show_for_machines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(symbench(monkeypatch, capsys, "show", "gnn-ps", "--task", "nbody", "--json"))
    assert found == [entry.as_dict() for entry in entries("gnn-ps", "nbody")]
    keys = ["section", "owner", "name", "type", "default", "limit", "meaning", "source", "values"]
    assert all(list(row) == keys for row in found)


def test_show_prints_a_line_for_each_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = symbench(monkeypatch, capsys, "show", "transformer-ps", "--task", "nbody")
    titles = [part.splitlines()[0] for part in said.split("\n\n")]
    assert titles == ["task_params (nbody)", "base (transformer)", "sampler (ps)", "settings (protocol)"]
    found = entries("transformer-ps", "nbody")
    assert len(said.splitlines()) == len(found) + 2 * len(titles) + len(titles) - 1
    lr = next(line for line in said.splitlines() if line.startswith("lr "))
    assert lr.split()[:6] == ["lr", "0.001", "0.001", "0.001", "0.001", "above"] and lr.endswith("Learning rate.")


@pytest.mark.parametrize(("words", "schema"), [((), suite_schema), (("--search",), search_schema)])
def test_schema_prints_it(
    words: tuple[str, ...], schema: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(schema)
    assert json.loads(symbench(monkeypatch, capsys, "schema", *words)) == schema()


@pytest.mark.parametrize("words", [["show", "mlp-ga", "--task", "exp"], ["schema"], ["schema", "--search"]])
def test_nothing_heavy_is_imported(words: list[str]) -> None:
    program = (
        "import sys\nfrom harness import cli\n"
        f"sys.argv = ['symbench', *{words!r}]\n"
        "try:\n    cli.main()\nexcept SystemExit as ended:\n    assert not ended.code, ended.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert ended.stderr.strip() == "[]"
