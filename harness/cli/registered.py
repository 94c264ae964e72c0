"""Commands that show what can be run: tasks, methods, plan, doctor."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.options import STORE, JsonOption, OnlyOption, SetOption, StoreOption, SuiteArgument
from harness.cli.printing import found_store, print_rows, print_table

if TYPE_CHECKING:
    from baselines.cards import BaseCard, SamplerCard
    from harness.spec import Job
    from harness.suites.plan import Plan, Seconds
    from tasks.cards import TaskCard

app = typer.Typer()


@app.command()
def tasks(as_json: JsonOption = False) -> None:
    """List the registered tasks, the meaning of protocols, and known deviations from publications."""
    from harness import registry
    from tasks.catalogue import PROTOCOLS

    rows = [
        {
            "name": card.name,
            "group": card.group_name(card.params),
            "metric": card.metric,
            "direction": card.direction,
            "protocols": list(card.protocols),
            "version": card.version,
            "plugin": registry.packages_of(task=card.name),
            "source": card.source,
            "deviations": list(card.deviations),
        }
        for card in registry.tasks().values()
    ]
    print_rows(rows, as_json)
    if not as_json:
        typer.echo("\nWhat protocols mean:")
        for name, meaning in PROTOCOLS.items():
            typer.echo(f"{name}: {meaning}")
        _print_deviations(registry.tasks().values())


@app.command()
def methods(as_json: JsonOption = False) -> None:
    """List the registered methods: base models with a sampler, and networks that are symmetric by construction."""
    from harness import registry

    rows = [
        {
            "name": card.name,
            "kind": card.kind,
            "base_model": card.base.name,
            "sampler": card.sampler.name if card.sampler else None,
            "version": card.version,
            "plugin": registry.packages_of(method=card.name),
            "source": card.source,
            "deviations": list(card.deviations),
        }
        for card in registry.methods().values()
    ]
    print_rows(rows, as_json)
    if not as_json:
        parts = [part for card in registry.methods().values() for part in (card.base, card.sampler) if part]
        _print_deviations({part.name: part for part in parts}.values())


@app.command()
def plan(
    suite: SuiteArgument,
    overrides: SetOption = None,
    only: OnlyOption = None,
    store: StoreOption = STORE,
    cost: Annotated[
        bool, typer.Option("--cost", help="Estimate the time of the runs to do from the records in the store.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the runs of a suite, which of them have a record, and which pairs do not fit."""
    from harness.suites import plan
    from harness.suites.loading import load

    opened = found_store(store)
    found = plan.plan(load(suite, overrides or ()), opened, only or ())
    seconds = plan.estimates(found.todo, opened) if cost else None
    if as_json:
        typer.echo(json.dumps(_plan_values(found, seconds), indent=1))
    else:
        _print_plan(found)
        if seconds is not None:
            _print_cost(seconds)


@app.command()
def doctor(
    store: StoreOption = STORE,
    as_json: JsonOption = False,
    deep: Annotated[bool, typer.Option("--deep", help="Also start a local Ray, which takes a few seconds.")] = False,
) -> None:
    """Check versions, devices, Ray, MLflow, disk and data. The exit code is 1 if there is a problem."""
    from dataclasses import asdict

    from harness.doctor import examine

    findings = examine(store, deep=deep)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            advice = f" -> {finding.advice}" if finding.advice else ""
            typer.echo(f"{finding.status:8}  {finding.name:{width}}  {finding.text}{advice}")
    if any(finding.status == "problem" for finding in findings):
        raise typer.Exit(1)


def _print_deviations(cards: Iterable[TaskCard | BaseCard | SamplerCard]) -> None:
    """Prints the known deviations of the cards from publications, one on each line."""
    lines = [f"{card.name}: {sentence}." for card in cards for sentence in card.deviations]
    if lines:
        typer.echo("\n".join(["", "Known deviations from publications:", *lines]))


def _plan_values(found: Plan, seconds: Seconds | None) -> dict[str, Any]:
    def about(job: Job) -> dict[str, Any]:
        estimate = seconds.get(job.spec.digest) if seconds is not None else None
        return {"seconds": estimate.seconds, "estimated_from": estimate.source} if estimate is not None else {}

    return {
        "suite": found.suite,
        "total": len(found.jobs),
        "done": len(found.done),
        "failed": len(found.failed),
        "todo": len(found.todo),
        "runs": [
            {"digest": job.spec.digest, "state": found.state(job), **about(job), **job.spec.to_dict()}
            for job in found.jobs
        ],
        "misfits": [pair._asdict() for pair in found.misfits],
        "by_other_code": {name: [job.spec.digest for job in jobs] for name, jobs in found.by_other_code.items()},
    }


def _print_plan(found: Plan) -> None:
    from harness.suites.labels import task_label

    rows = []
    for jobs, differs in found.lines():
        spec, states = jobs[0].spec, [found.state(job) for job in jobs]
        counts = [str(count) for count in (len(states), states.count("done"), states.count("failed"))]
        rows.append([task_label(spec), spec.method, spec.protocol, *counts, differs or "-"])
    print_table(["task", "method", "protocol", "runs", "done", "failed", "settings"], rows)
    for pair in found.misfits:
        typer.echo(f"does not fit: {pair.task} x {pair.method}: {pair.reason}")
    for note in found.notes():
        typer.echo(note)
    typer.echo(
        f"{found.suite}: {len(found.jobs)} runs, {len(found.done)} have a record, {len(found.todo)} to do "
        f"({len(found.failed)} of them failed before), {len(found.misfits)} pairs do not fit"
    )


def _print_cost(seconds: Seconds) -> None:
    from harness.utils.text import duration

    known = [estimate for estimate in seconds.values() if estimate is not None]
    rough = sum(estimate.source == "pair" for estimate in known)
    total = f"about {duration(sum(estimate.seconds for estimate in known))}" if known or not seconds else "unknown time"
    typer.echo(
        f"{total} on one worker: {len(known) - rough} runs from records of their settings, "
        f"{rough} roughly from other settings of their pair, {len(seconds) - len(known)} without an estimate"
    )
