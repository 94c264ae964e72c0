"""What Tab offers, by the protocol between the shell and the command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import registry
from harness.cli import completion, root

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def tab(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> object:
    """The words that bash shows for a command line that ends where the user pressed Tab."""

    def press(line: str) -> list[str]:
        words = line.split(" ")
        for name, value in (("COMP_WORDS", line), ("COMP_CWORD", str(len(words) - 1))):
            monkeypatch.setenv(name, value)
        monkeypatch.setenv(completion.VARIABLE, "complete_bash")
        monkeypatch.setattr(sys, "argv", ["symbench"])
        with pytest.raises(SystemExit) as ended:
            root.main()
        said = capsys.readouterr()
        assert (ended.value.code, said.err) == (0, "")
        return said.out.split()

    return press


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("symbench sch", ["schema"]),
        ("symbench show nbod", ["nbody"]),
        ("symbench show egn", ["egnn"]),
        ("symbench show egnn --task pep", ["peptides_func", "peptides_struct"]),
        ("symbench check mlp-g", ["mlp-ga"]),
        ("symbench compare mlp-ps mlp-m", ["mlp-mfa"]),
        ("symbench compare mlp-ps gnn-ga --task exp_", ["exp_classify"]),
        ("symbench run qui", ["quick"]),
        ("symbench plan group_size_s", ["group_size_small"]),
        ("symbench submit quick --only task=nb", ["task=nbody"]),
        ("symbench run quick --only method=egn", ["method=egnn"]),
        ("symbench run quick --set settings.lr", ["settings.lr="]),
        ("symbench search nbody_e", ["nbody_egnn"]),
        ("symbench tables sca", ["scaling"]),
        ("symbench search nbody_egnn --set resources.chu", ["resources.chunk="]),
        ("symbench run quick --set pro", ["protocol="]),
        ("symbench run no-such-su", []),
        ("symbench run quick --set 'settings.lr", ["settings.lr="]),
    ],
)
def test_names_are_completed(line: str, offered: list[str], tab: object) -> None:
    assert callable(tab) and tab(line) == offered


def test_settings_are_those_of_the_method_and_the_task_that_are_named(tab: object) -> None:
    assert callable(tab)
    own = tab("symbench check egnn --task nbody --set ")
    assert {"base.width=", "task_params.nodes=", "settings.lr="} <= set(own)
    assert not [name for name in own if name.startswith(("sampler.", "resources."))]
    assert set(tab("symbench check mlp-ps --task nbody --set sampler.")) > {"sampler.noise_scale="}


def test_methods_are_those_that_fit_the_task_that_is_named(tab: object) -> None:
    assert callable(tab)
    task, every = registry.task("nbody"), registry.methods()
    fitting = {name for name, card in every.items() if card.misfit(task, task.params) is None}
    assert set(tab("symbench check --task nbody ")) == fitting < every.keys()


def test_a_plug_in_that_raises_costs_the_names_and_nothing_else(monkeypatch: pytest.MonkeyPatch, tab: object) -> None:
    def broken() -> None:
        raise RuntimeError("broken plug-in")

    monkeypatch.setattr(registry, "tasks", broken)
    assert callable(tab) and tab("symbench show egnn --task nb") == []


def test_names_come_without_the_heavy_packages() -> None:
    program = "import sys; sys.argv = ['symbench']\nfrom harness.cli import main\ntry:\n    main()\nfinally:\n    "
    program += "print([name for name in ('torch', 'numpy', 'ray', 'polars', 'mlflow') if name in sys.modules])"
    environment = {**os.environ, completion.VARIABLE: "complete_bash", "COMP_CWORD": "4"}
    environment["COMP_WORDS"] = "symbench run quick --set settings.epoch"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["settings.epochs=", "[]"], done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_is_shown(
    shell: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(completion.VARIABLE, f"source_{shell}")
    monkeypatch.setattr(sys, "argv", ["symbench"])
    with pytest.raises(SystemExit) as ended:
        root.main()
    assert ended.value.code == 0 and f"{completion.VARIABLE}=complete_{shell}" in capsys.readouterr().out
