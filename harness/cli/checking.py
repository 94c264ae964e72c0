"""The command check: whether a method, a trained run or any function is as symmetric as it should be."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli import completion
from harness.cli.options import STORE, JsonOption, StoreOption
from harness.errors import SettingsError

if TYPE_CHECKING:
    from harness.verification.verdicts import Verdict

app = typer.Typer()

FORMS = "METHOD --task TASK, MODULE:NAME --group GROUP, or --run DIGEST"
INPUTS, OUTPUT, NODES = "positions", "graph_features", 8

Found = tuple[str, dict[str, str], "list[Verdict]"]
"""The title of the table, what was checked by its name in JSON, and the verdicts."""


TargetArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[METHOD|MODULE:NAME]",
        help="A method of symbench methods; or a function or a torch module, such as mypackage.models:Net.",
        autocompletion=completion.methods,
    ),
]
TaskOption = Annotated[
    str | None,
    typer.Option(
        "--task",
        metavar="TASK",
        help="For a method: the task whose symmetry is tested.",
        autocompletion=completion.tasks,
    ),
]
RunOption = Annotated[
    str | None,
    typer.Option("--run", metavar="DIGEST", help="Test the trained model of this run, which kept its weights."),
]
MethodSetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="For a method: change a setting, as in sampler.noise_scale=0.1.",
        autocompletion=completion.settings,
    ),
]
UniversalityOption = Annotated[
    bool,
    typer.Option("--universality", help="For a method: also train it at three widths on random equivariant targets."),
]
GroupOption = Annotated[
    str | None, typer.Option("--group", metavar="GROUP", help="For MODULE:NAME: the symmetry, such as 'S_n x O(3)'.")
]
InputsOption = Annotated[
    str | None,
    typer.Option(
        metavar="ROLES",
        help=f"For MODULE:NAME: its arguments in order, such as positions,node_features:4 (default: {INPUTS}).",
    ),
]
OutputOption = Annotated[
    str | None, typer.Option(metavar="ROLE", help=f"For MODULE:NAME: what it returns (default: {OUTPUT}).")
]
NodesOption = Annotated[
    int | None, typer.Option(metavar="N", min=1, help=f"For MODULE:NAME: the number of nodes (default: {NODES}).")
]
DimensionOption = Annotated[
    int | None,
    typer.Option(metavar="D", min=1, help="For MODULE:NAME: the dimension of space (default: that of the group)."),
]
SingleOption = Annotated[bool, typer.Option("--float32", help="For MODULE:NAME: test in float32 instead of float64.")]
SamplesOption = Annotated[
    str, typer.Option(metavar="K,K,...", help="Numbers of group elements, or of calls, to compare.")
]


@app.command()
def check(
    target: TargetArgument = None,
    task: TaskOption = None,
    run: RunOption = None,
    store: StoreOption = STORE,
    overrides: MethodSetOption = None,
    universality: UniversalityOption = False,
    group: GroupOption = None,
    inputs: InputsOption = None,
    output: OutputOption = None,
    nodes: NodesOption = None,
    dimension: DimensionOption = None,
    single: SingleOption = False,
    samples: SamplesOption = "1,4,16,64",
    as_json: JsonOption = False,
) -> None:
    """Test whether a method with random weights, a trained run, or any function is symmetric.

    Methods and runs are held to what the method claims. The exit code is 0 only if the test is passed.
    """
    counts = _whole_numbers(samples)
    of_method = {"--task": task, "--set": overrides, "--universality": universality}
    of_function = {
        "--group": group, "--inputs": inputs, "--output": output, "--nodes": nodes, "--dimension": dimension,
        "--float32": single,
    }  # fmt: skip
    if run is not None:
        _refuse("--run", {"METHOD": target} | of_method | of_function)
        found = _run(run, store, counts)
    elif target is None:
        raise SettingsError(f"There is nothing to check: write {FORMS}.")
    elif ":" in target:
        _refuse(target, of_method)
        if group is None:
            raise SettingsError(f"{target} needs a symmetry to be tested: add --group, such as --group 'S_n x O(3)'.")
        found = _function(target, group, inputs, output, nodes, dimension, single, counts)
    else:
        _refuse(f"the method {target}", of_function)
        if task is None:
            raise SettingsError(f"The method {target} needs a task whose symmetry is tested: add --task TASK.")
        found = _method(target, task, overrides or (), counts, universality)
    _print(*found, as_json)


def _method(method: str, task: str, overrides: Sequence[str], counts: Sequence[int], universality: bool) -> Found:
    from harness.verification import verdicts

    subject = verdicts.subject(method, task, overrides)
    checks = verdicts.check(subject, counts, universality)
    return f"{subject.method.name} on {task}", {"method": subject.method.name, "task": task}, checks


def _run(digest: str, store: str, counts: Sequence[int]) -> Found:
    from harness.verification import verdicts

    subject = verdicts.trained(digest, store)
    checks = verdicts.check(subject, counts)
    what = {"run": subject.spec.digest, "method": subject.method.name, "task": subject.task.name}
    return f"{what['method']} on {what['task']}, trained in run {what['run']}", what, checks


def _function(
    target: str,
    group: str,
    inputs: str | None,
    output: str | None,
    nodes: int | None,
    dimension: int | None,
    single: bool,
    counts: Sequence[int],
) -> Found:
    import torch

    from harness.verification.imported import function_verdict

    verdict = function_verdict(
        target,
        group,
        INPUTS if inputs is None else inputs,
        OUTPUT if output is None else output,
        nodes=nodes or NODES,
        dimension=dimension,
        samples=counts,
        precision=torch.float32 if single else torch.float64,
    )
    return f"{target} under {group}", {"function": target, "group": group}, [verdict]


def _refuse(what: str, others: Mapping[str, Any]) -> None:
    """Raises :class:`SettingsError` if options of another form of the command were given."""
    if given := [name for name, value in others.items() if value not in (None, False)]:
        raise SettingsError(f"{given[0]} does not go with {what}: write {FORMS}.")


def _print(title: str, what: Mapping[str, str], checks: Sequence[Verdict], as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        typer.echo(json.dumps({**what, "checks": [asdict(check) for check in checks]}, indent=1))
    else:
        _print_verdicts(title, checks)
    if not all(check.passed for check in checks):
        raise typer.Exit(1)


def _whole_numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise SettingsError(f"--samples {text}: write whole numbers with commas, such as 1,4,16,64.") from None


def _print_verdicts(title: str, verdicts: Sequence[Verdict]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("k", "equivariance error", title=title, title_justify="left")
    numbers = verdicts[0].numbers
    for count, error in zip(numbers.get("samples", ()), numbers.get("errors", ()), strict=True):
        table.add_row(str(count), f"{error:.2e}")
    if table.rows:  # there are no numbers if some are not finite
        Console(soft_wrap=True).print(table)
    for verdict in verdicts:
        typer.echo(f"{'passed' if verdict.passed else 'FAILED'}  {verdict.check}: {verdict.sentence}")
