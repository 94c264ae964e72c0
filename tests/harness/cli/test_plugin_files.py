"""Plug-in files on the command line, in suites and in searches."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from harness import registry
from harness.cli import app
from harness.plugins.plugin_file import read_file
from harness.records.store import Store
from harness.search.loading import load as load_search
from harness.suites.loading import load
from tests.harness.cli.conftest import Call
from tests.plugin_files import NETWORK, TASK, forgotten, write
from tests.tiny_suite import tiny_suite

SEARCH = """
{plugins: cards/my_net.py, task: nbody, method: mine, protocol: quick, settings: {epochs: 2}, trials: 1,
 space: {settings.lr: {loguniform: [1.0e-3, 1.0e-2]}}}
"""


@pytest.fixture(autouse=True)
def cards(folder: Path) -> Iterator[Path]:
    """A plug-in file in a folder below the current one; no plug-in is registered."""
    with forgotten():
        yield write(folder / "cards")


def commands(group: Any, *before: str) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        yield (*before, name)
        yield from commands(command, *before, name) if hasattr(command, "commands") else ()


@pytest.mark.parametrize("words", list(commands(get_command(app))), ids=" ".join)
def test_every_command_has_the_option(call: Call, words: tuple[str, ...]) -> None:
    code, out, _ = call(*words, "--help")
    assert code == 0 and "--plugin" in out
    code, _, said = call(*words, "--plugin", "missing.py")
    assert (code, said) == (2, "There is no plug-in file missing.py.\n")


SHOWN = {
    ("methods",): "mine",
    ("tasks",): "my_bodies",
    ("show", "mine", "--task", "my_bodies"): "base (mine)",
    ("schema",): '"my_bodies"',
    ("schema", "--search"): '"mine"',
    ("doctor",): "registers",
    ("plan", "own.yaml"): "own: 1 runs",
}


@pytest.mark.parametrize("words", SHOWN, ids=" ".join)
def test_what_the_files_register_is_there_wherever_the_option_stands(
    call: Call, folder: Path, words: tuple[str, ...]
) -> None:
    task = write(folder, "my_task.py", TASK)
    (folder / "own.yaml").write_text("protocol: quick\nexperiments: [{tasks: my_bodies, methods: mine}]\n")
    net, bodies = ("--plugin", "cards/my_net.py"), ("--plugin", str(task))
    for line in ((*net, *bodies, *words), (*words, *bodies, *net), (*net, *words, *bodies)):
        with forgotten():
            code, out, said = call(*line)
            assert code == (1 if words == ("doctor",) and code else 0) and SHOWN[words] in out, said


def test_doctor_lists_the_file_with_its_digest(call: Call, cards: Path) -> None:
    _, out, _ = call("doctor", "--plugin", str(cards))
    [file] = registry.files()
    [line] = [line for line in out.splitlines() if "plug-in my_net.py" in line]
    assert line.startswith("ok") and f"my_net.py {file.version} registers mine" in line


def test_a_suite_brings_its_files_from_beside_it(call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder / "suites" / "deep", "my_task.py", TASK)
    suite = folder / "suites" / "own.yaml"
    runs = "protocol: quick\nexperiments: [{tasks: my_*, methods: mine}]"
    text = f"plugins: [deep/my_task.py, ../cards/my_net.py]\n{runs}"
    suite.write_text(text)
    monkeypatch.chdir("/")
    code, out, _ = call("plan", str(suite))
    assert code == 0 and "own: 1 runs" in out
    assert call("plan", str(suite))[0] == 0  # twice in one process
    suite.write_text(text.replace("deep/my_task.py, ", "").replace("[../cards/my_net.py]", "../cards/my_net.py"))
    with forgotten():
        assert load(suite, ["experiments.0.tasks=nbody"]).plugins == ["../cards/my_net.py"]
        assert "mine" in registry.methods()


MISTAKES = {
    "plugins: [cards/my_net.py, cards/nothing.py]": "line 1: There is no plug-in file",
    "plugins:\n- cards/my_net.py\n- cards": "line 3: cards is a folder",
    "plugins: {cards: 1}": "line 1: 'plugins' should be a valid list, not",
    "plugins: [cards/my_net.py, cards/my_net.py]": "line 1: 'plugins' should not name a value twice",
    "plugins: [1]": "should be a valid string, not 1",
    "plugin: cards/my_net.py": "there is no key 'plugin' here: did you mean 'plugins'?",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_in_a_suite_has_its_line(call: Call, folder: Path, text: str) -> None:
    (folder / "own.yaml").write_text(f"{text}\nprotocol: quick\nexperiments: [{{tasks: nbody, methods: mine}}]\n")
    code, _, said = call("run", "own.yaml")
    assert code == 2 and said.startswith("own.yaml, line ") and said.count("\n") == 1
    assert MISTAKES[text] in said
    assert not (folder / "results").exists()


def test_a_search_brings_its_file_and_hands_it_on(folder: Path, cards: Path) -> None:
    (folder / "rate.yaml").write_text(SEARCH)
    search = load_search("rate.yaml")
    assert [file.name for file in search.plugin_files] == ["my_net.py"]
    best = folder / "best.yaml"
    best.write_text(search.confirmation(search.probe, "the best"))
    write(folder)  # conclude puts it beside the suite
    cards.unlink()
    with forgotten():
        assert len(load("best.yaml").expand().jobs) == 5


REFUSED: dict[str, tuple[str, str]] = {
    "broken.py": ("x = (", "cannot be imported (line 1: SyntaxError"),
    "leaving.py": ("import sys\nsys.exit(0)", "cannot be imported (line 2: SystemExit"),
    "empty.py": ("", "registers nothing"),
    "built_in.py": (TASK.replace("my_bodies", 'nbody", title="Mine'), "the name nbody, which is built in"),
    "wrong.py": (TASK.replace('"my_bodies"', '"mine", output="point"'), "did you mean"),
    "homeless.py": (NETWORK.replace("my_net:Mine", "homeless:His"), "has no His"),
    "nowhere.py": (NETWORK, "there is no module my_net"),
    "other.py": (NETWORK.replace("my_net", "other"), "my_net.py"),
    "elsewhere/my_net.py": (f"{NETWORK}# edited", "Two different plug-in files are called my_net.py"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_used_is_one_sentence_before_anything_starts(call: Call, folder: Path, name: str) -> None:
    text, sentence = REFUSED[name]
    write((folder / name).parent, Path(name).name, text)
    with_it = ("--plugin", name)
    before = ("--plugin", "cards/my_net.py") if name in ("other.py", "elsewhere/my_net.py") else ()
    code, out, said = call(*before, "run", "mine.yaml", *with_it)
    assert code == 2 and out == "" and said.count("\n") == 1 and sentence in said
    assert not (folder / "results").exists()


def test_a_refused_file_can_be_corrected_in_the_same_process(folder: Path) -> None:
    path = write(folder, "late.py", TASK.replace('"my_bodies"', '"late", output="point"'))
    with pytest.raises(Exception, match="output"):
        registry.add_files([read_file(path)])
    assert registry.files() == () and "late" not in registry.tasks()
    registry.add_files([read_file(write(folder, "late.py", TASK.replace("my_bodies", "late")))])
    assert "late" in registry.tasks()


def test_the_same_file_twice_and_a_copy_of_it_are_one(call: Call, folder: Path) -> None:
    write(folder / "copy")
    code, out, _ = call(*("--plugin", "cards/my_net.py") * 2, "methods", "--json", "--plugin", "copy/my_net.py")
    assert code == 0 and [row["name"] for row in json.loads(out)].count("mine") == 1


def test_an_interrupt_while_a_file_is_imported_is_one(call: Call, folder: Path) -> None:
    write(folder, "slow.py", "raise KeyboardInterrupt")
    for words in (("--plugin", "slow.py", "methods"), ("methods", "--plugin", "slow.py")):
        code, _, said = call(*words)
        assert code == 130 and said.startswith("Interrupted") and said.count("\n") == 1


def test_records_name_the_file_and_are_read_without_it(
    call: Call, folder: Path, cards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.execution import launch
    from harness.execution.messages import WorkerConfig
    from harness.execution.worker import Worker

    def here(jobs: Any, store: Store, *, progress: Any, **_: Any) -> None:
        store.write_launch("one", {"id": "one", "suite": "tiny", "started": "2026-01-01T00:00:00+00:00"})
        config = WorkerConfig(
            root=store.address,
            launch_id="one",
            executor=launch.EXECUTOR,
            command=(),
            plugin_files=registry.files(),
        )
        worker = Worker(config)
        assert worker.start().plugins.keys() == {"my_net.py"}
        for job in jobs:
            worker.run([job])

    monkeypatch.setattr(launch, "launch", here)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://")
    (folder / "tiny.yaml").write_text(tiny_suite(1, "mine, egnn"))
    assert call("run", "tiny.yaml", "--plugin", "cards/my_net.py")[0] == 0
    [file] = registry.files()
    records = {record.spec.method: record for record in Store("results/store").records()}
    for method, used in {"mine": True, "egnn": False}.items():
        said = records[method].provenance["plugins"]
        assert said == {"my_net.py": {"version": file.version, "digest": file.digest, "used": used}}
    assert {record.status for record in records.values()} == {"succeeded"}

    with forgotten():
        assert "2 have a record" in call("plan", "tiny.yaml", "--plugin", "cards/my_net.py")[1]
    with forgotten():
        cards.write_text(f"{NETWORK}# edited\n")
        _, out, _ = call("plan", "tiny.yaml", "--plugin", "cards/my_net.py")
        assert "1 records were made with other or unknown code of the plug-in my_net.py: nbody" in out
        assert "x mine, seed 0" in out and "2 have a record" in out
    with forgotten():
        assert call("report")[0] == 0
        assert "mine" in (folder / "results" / "leaderboard.md").read_text()
        assert call("export", "mine.zip")[0] == 0 and call("import", "mine.zip", "--store", "other")[0] == 0
        code, _, said = call("plan", "tiny.yaml")
        assert code == 2 and "there is no method 'mine'" in said
