"""The results of a search: its trials as a table, best first, and the best one as a suite."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.records.store import Store
from harness.search.against_default import FILE, AgainstDefault, against_default
from harness.search.model import Search
from harness.search.space import Values
from harness.search.trial_training import STOPPED, final_report

if TYPE_CHECKING:
    import polars as pl

TrialStatus = Literal["finished", "stopped", "failed"]


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """A trial that has ended. ``score`` is the validation metric in the best of its ``epochs``."""

    number: int
    digest: str
    values: Values
    status: TrialStatus
    score: float | None
    epochs: int
    seconds: float | None
    sentence: str | None = None


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """The trials, best first and failed ones last; ``suite`` is the file with the best one, if any succeeded.

    ``against_default`` compares the best with the default.
    """

    search: Search
    folder: Path
    trials: Sequence[TrialResult]
    suite: Path | None
    against_default: AgainstDefault | None = None

    @property
    def failure(self) -> str | None:
        """Why there is no suite, in one sentence; ``None`` if there is one."""
        if self.suite is not None:
            return None
        reason = self.trials[0].sentence if self.trials else "none has a record"
        return f"None of the {len(self.trials)} trials of {self.search.name} succeeded: {reason}"


def conclude(search: Search, store: Store, points: Sequence[Values]) -> SearchResult:
    """Writes ``trials.parquet``, ``trials.csv`` and ``best.yaml`` with its plug-in files into the search's store.

    If the best is compared with the default, ``against_default.json`` has the result.
    """
    from harness.utils.spreadsheets import inert

    trials = ended_trials(search, store, points)
    frame, suite, against = _frame(search, trials), None, None
    with _shared(store, "trials.parquet") as path:
        frame.write_parquet(path)
    with _shared(store, "trials.csv") as path:
        inert(frame).write_csv(path)
    if trials and trials[0].score is not None:
        for file in search.plugin_files:
            with _shared(store, file.name) as path:
                path.write_bytes(file.content)
        with _shared(store, "best.yaml") as suite:
            suite.write_text(search.confirmation(trials[0].values, _why(search, trials)), encoding="utf-8")
        if against := against_default(search, store, trials[0].values):
            with _shared(store, FILE) as path:
                path.write_text(against.as_json(), encoding="utf-8")
    return SearchResult(search=search, folder=store.root, trials=trials, suite=suite, against_default=against)


def ended_trials(search: Search, store: Store, points: Sequence[Values]) -> list[TrialResult]:
    """The trials that have a record, best first and failed ones last."""
    ended = [_result(search, store, number, values) for number, values in enumerate(points)]
    return sorted((trial for trial in ended if trial is not None), key=lambda trial: _rank(search, trial))


@contextlib.contextmanager
def _shared(store: Store, name: str) -> Iterator[Path]:
    with store.sharing(store.root / name):
        yield store.root / name


def title(search: Search) -> str:
    """The title of the table of trials."""
    return f"{search.name}: {search.method} on {search.task}, validation {search.scored} ({search.mode})"


def table(result: SearchResult) -> tuple[list[str], list[list[str]]]:
    """The titles and the rows of a table with one row for each trial."""
    search = result.search
    titles = ["trial", search.scored, *_short(list(search.space)), "epochs", "status"]
    return titles, [_row(search, trial) for trial in result.trials]


def _row(search: Search, trial: TrialResult) -> list[str]:
    score = "-" if trial.score is None else f"{trial.score:.4g}"
    values = [_shown(trial.values[name]) for name in search.space]
    return [str(trial.number), score, *values, str(trial.epochs), trial.status]


def _result(search: Search, store: Store, number: int, values: Values) -> TrialResult | None:
    digest = search.trial(values).spec.digest
    if (record := store.read(digest)) is None:
        return None
    last = final_report(store, digest)
    status: TrialStatus = "failed" if record.failure else "stopped" if STOPPED in record.notes else "finished"
    return TrialResult(
        number=number,
        digest=digest,
        values=values,
        status=status,
        score=None if record.failure else last.known_score,
        epochs=last.epochs,
        seconds=record.provenance.get("wall_seconds"),
        sentence=record.failure.sentence if record.failure else None,
    )


def _rank(search: Search, trial: TrialResult) -> tuple[bool, float, int]:
    score = trial.score or 0.0
    return trial.score is None, score if search.mode == "min" else -score, trial.number


def _why(search: Search, trials: Sequence[TrialResult]) -> str:
    best = trials[0]
    return (
        f"The best of {len(trials)} trials of the search {search.name}: validation {search.scored} {best.score:.6g} "
        f"after {best.epochs} epochs with seed {search.seed}"
    )


def _frame(search: Search, trials: Sequence[TrialResult]) -> pl.DataFrame:
    import json

    import polars as pl

    def column(name: str) -> list[Any]:
        values = [trial.values[name] for trial in trials]
        plain = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        return values if plain else [value if isinstance(value, str) else json.dumps(value) for value in values]

    kinds = {"trial": pl.Int64, "digest": pl.String, "status": pl.String, "score": pl.Float64, "epochs": pl.Int64}
    fixed = {
        "trial": [trial.number for trial in trials],
        "digest": [trial.digest for trial in trials],
        "status": [trial.status for trial in trials],
        "score": [trial.score for trial in trials],
        "epochs": [trial.epochs for trial in trials],
        "seconds": [trial.seconds for trial in trials],
        "error": [trial.sentence for trial in trials],
    }
    schema = kinds | {"seconds": pl.Float64, "error": pl.String}
    return pl.DataFrame(fixed, schema=schema).hstack(pl.DataFrame({name: column(name) for name in search.space}))


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _short(names: Sequence[str]) -> list[str]:
    """The names without their section, if they stay distinct."""
    short = [name.partition(".")[2] for name in names]
    return [one if short.count(one) == 1 else name for one, name in zip(short, names, strict=True)]
