"""Whether the best setting of a search beats the default, by runs on seeds that the search has not used.

The best of many trials has a score that is too good, since it was chosen by that score. Both settings are therefore
trained again on other seeds, and compared seed by seed. The validation set is the one that the search used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from harness.collate.bootstrap import LEVEL
from harness.collate.significance import LEAST_SEEDS, differences
from harness.records.store import Store
from harness.search.model import Search
from harness.search.space import Values
from harness.search.trial_training import final_report
from harness.spec import Job

FILE = "against_default.json"
Verdict = Literal["better", "worse", "no difference found", "too few seeds", "same setting"]


@dataclass(frozen=True, kw_only=True)
class AgainstDefault:
    """The comparison of the best setting of a search with the default.

    Attributes:
        metric: The validation metric.
        direction: Whether a larger (``max``) or a smaller (``min``) value is better.
        verdict: Whether the best is better. With fewer than five shared seeds it is ``too few seeds``.
        seeds: The seeds of the comparison, none of which the search used.
        best: The score of the best setting with each seed; None if its run failed.
        default: The score of the default with each seed.
        difference: The mean of best minus default over the seeds that both have, or None.
        low: The lower end of its 95 % interval (paired t), or None.
        high: The upper end.
    """

    metric: str
    direction: str
    verdict: Verdict
    seeds: Sequence[int] = ()
    best: Sequence[float | None] = ()
    default: Sequence[float | None] = ()
    difference: float | None = None
    low: float | None = None
    high: float | None = None

    def as_json(self) -> str:
        """The comparison as JSON."""
        return json.dumps(asdict(self), indent=1) + "\n"

    def sentences(self) -> Iterator[str]:
        """The verdict and the numbers."""
        if self.verdict == "same setting":
            yield "The best setting is the default."
            return
        shared = [pair for pair in zip(self.best, self.default, strict=True) if None not in pair]
        yield {
            "better": "The best setting beats the default.",
            "worse": "The default beats the best setting.",
            "no difference found": "No difference found between the best setting and the default.",
            "too few seeds": f"Too few seeds to say whether the best setting beats the default: {LEAST_SEEDS} are "
            f"needed, and both have a score on {len(shared)}.",
        }[self.verdict]
        if self.difference is not None:
            best, default = np.mean(np.array(shared, dtype=float), 0)
            interval = "" if self.low is None else f" ({100 * LEVEL:.0f} % interval {self.low:.3g} to {self.high:.3g})"
            yield (
                f"Validation {self.metric} over {len(shared)} seeds that the search has not used: best {best:.4g}, "
                f"default {default:.4g}, paired difference {self.difference:.3g}{interval}."
            )


def runs_to_compare(search: Search, values: Values) -> list[tuple[Job, Job]]:
    """The runs of these values and of the default on each seed; empty if they are the same setting."""
    pairs = [(search.trial(values, seed), search.trial({}, seed)) for seed in search.other_seeds(search.compare)]
    return [pair for pair in pairs if pair[0].spec.digest != pair[1].spec.digest]


def against_default(search: Search, store: Store, values: Values) -> AgainstDefault | None:
    """Compares the best values with the default by the records in the search's store; None if ``compare`` is 0."""
    if not search.compare:
        return None
    pairs = runs_to_compare(search, values)
    if not pairs:
        return AgainstDefault(metric=search.scored, direction=search.mode, verdict="same setting")
    scores = [[_score(store, job) for job in jobs] for jobs in zip(*pairs, strict=True)]
    return compared(search.scored, search.mode, [best.spec.seed for best, _ in pairs], *scores)


def compared(
    metric: str, direction: str, seeds: Sequence[int], best: Sequence[float | None], default: Sequence[float | None]
) -> AgainstDefault:
    """Tests the paired differences of scores.

    Args:
        metric: The validation metric.
        direction: ``min`` or ``max``.
        seeds: The seeds.
        best: A score for each seed, None if there is none.
        default: The same for the default.
    """
    shared = np.array([pair for pair in zip(best, default, strict=True) if None not in pair], dtype=float)
    found: dict[str, Any] = {}
    verdict: Verdict = "too few seeds"
    if len(shared):
        test = differences(*shared.T)
        found["difference"] = float(test.difference)
    if len(shared) >= LEAST_SEEDS:
        found |= {"low": float(test.low), "high": float(test.high)}
        verdict = "no difference found"
        if test.p <= 1 - LEVEL:
            verdict = "better" if (found["difference"] > 0) == (direction == "max") else "worse"
    return AgainstDefault(
        metric=metric, direction=direction, verdict=verdict, seeds=seeds, best=best, default=default, **found
    )


def _score(store: Store, job: Job) -> float | None:
    record = store.read(job.spec.digest)
    return None if record is None or record.failure else final_report(store, job.spec.digest).known_score
