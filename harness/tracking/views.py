"""The views of MLflow's pages: for each task of an experiment, its runs with a chart of its metric.

A view is a tag of the experiment, in the format of MLflow's button "Share". The page of a view shows the runs of the
task, best first, and draws the metric as a bar for each run. Other metrics with one value are not drawn as bars.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from harness import registry
from harness.tracking import content
from harness.tracking.writing import PAGE

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

TAG = "mlflow.sharedViewState."
MOST_CHARACTERS = 5000
"""The longest tag of an experiment that MLflow accepts."""
LOADED = 100
"""The number of runs that MLflow's page loads at a time."""
ONE_VALUE = ("test/", "cost/")
"""The prefixes of metrics that have one value for each run."""
CURVES = ("curve/value", "curve/variance", "curve/equivariance")
LINEAR: dict[str, Any] = {"xAxisKey": "step", "xAxisScaleType": "linear", "scaleType": "linear"}
SECONDS = "cost/train_seconds"


@dataclass(kw_only=True)
class View:
    """The runs of one task in one experiment.

    Attributes:
        experiment_id: The id of the experiment.
        suite: The name of its suite.
        task: The name of the task.
        metric: The metric of most of the runs.
        direction: ``min`` or ``max``, whichever is better.
        runs: The number of runs.
        names: The names of all metrics in MLflow.
    """

    experiment_id: str
    suite: str
    task: str
    metric: str = ""
    direction: str = "min"
    runs: int = 0
    names: set[str] = field(default_factory=set)

    @property
    def key(self) -> str:
        """The key of the view in its experiment."""
        return f"symbench-{content.name(self.task)}"

    @property
    def score(self) -> str:
        """The name of the metric in MLflow; trials of a search are only scored on validation data."""
        test, validation = (content.name(f"{part}/{self.metric}") for part in ("test", "validation"))
        return validation if test not in self.names and validation in self.names else test

    def address(self, url: str) -> str:
        """The address of the view.

        Args:
            url: The address of MLflow's pages; an empty one gives an address for use inside of these pages.
        """
        asked = {"viewStateShareKey": self.key, "compareRunsMode": "CHART", "workflowType": "machine_learning"}
        return f"{url.rstrip('/')}/#/experiments/{self.experiment_id}/runs?{urlencode(asked, quote_via=quote)}"

    def state(self) -> dict[str, Any]:
        """What the page shows: filter, order, columns and charts, with MLflow's names."""
        metric = self.score
        columns = [f"metrics.`{metric}`", *(f"tags.`symbench.{tag}`" for tag in ("method", "seed", "size"))]
        return {
            "searchFilter": f"tags.`{content.TASK}` = {_quoted(self.task)}",
            "orderByKey": columns[0],
            "orderByAsc": self.direction == "min",
            "selectedColumns": columns,
            "runsHiddenMode": "SHOW_ALL",
            "hideEmptyCharts": True,
            "isAccordionReordered": True,  # else MLflow sorts the sections by name
            "compareRunSections": [_part("chosen", name=f"{self.task} by {self.metric}", display=True)],
            "compareRunCharts": [
                *_charts(self.names, metric, content.name(f"validation/{self.metric}")),
                *(_hidden(name) for name in sorted(self.names) if name.startswith(ONE_VALUE) and name != metric),
            ],
        }

    def tag(self) -> str:
        """The value of the tag with the state; without hidden charts if it would be too long."""
        state = self.state()
        if len(whole := _compressed(state)) <= MOST_CHARACTERS:
            return whole
        charts = [chart for chart in state["compareRunCharts"] if not chart["deleted"]]
        return _compressed(state | {"compareRunCharts": charts})


def publish(client: MlflowClient, experiment: Experiment) -> list[View]:
    """Writes the views of the tasks of an experiment, and links to them in its description. Returns the views.

    A description that a user wrote is kept.
    """
    found = views(client, experiment)
    tags = {TAG + view.key: view.tag() for view in found}
    suite = _suite(experiment)
    written = content.experiment_tags(suite)[content.NOTE]
    if experiment.tags.get(content.NOTE, "").startswith(written):
        links = [f"- [{view.task}: {view.runs} runs by {view.metric}]({view.address('')[1:]})" for view in found]
        tags[content.NOTE] = "\n".join([written, "", *links])[:MOST_CHARACTERS]
    for key, text in tags.items():
        if experiment.tags.get(key) != text:
            client.set_experiment_tag(experiment.experiment_id, key, text)
    return found


def views(client: MlflowClient, experiment: Experiment) -> list[View]:
    """The tasks of an experiment with their runs, sorted by name."""
    found: dict[str, View] = {}
    metrics: dict[str, Counter[tuple[str, str]]] = {}
    for tags, names in _runs(client, experiment.experiment_id):
        task = tags[content.TASK]
        view = found.setdefault(task, View(experiment_id=experiment.experiment_id, suite=_suite(experiment), task=task))
        view.runs += 1
        view.names |= names
        metrics.setdefault(task, Counter())[tags.get(content.METRIC, ""), tags.get(content.DIRECTION, "")] += 1
    for task, view in found.items():
        ((view.metric, direction), _), *_ = metrics[task].most_common(1)
        card = registry.tasks().get(task)
        view.direction = direction or (card.direction if card else "min")  # earlier versions have no tag for it
    return [found[task] for task in sorted(found)]


def _runs(client: MlflowClient, experiment_id: str) -> Iterator[tuple[dict[str, str], set[str]]]:
    token = None
    while token != "":
        page = client.search_runs([experiment_id], max_results=PAGE, page_token=token)
        for run in page:
            if content.TASK in run.data.tags:
                yield run.data.tags, set(run.data.metrics)
        token = page.token or ""


def _charts(names: set[str], metric: str, validation: str) -> Iterator[dict[str, Any]]:
    """The charts of the first section: the metric, its course, its dependence on group samples, and its price."""
    yield _chart("BAR", metric, metricKey=metric, displayName=metric)
    if SECONDS in names:
        yield _chart("SCATTER", "cost", xaxis=_axis(SECONDS), yaxis=_axis(metric))
    for name in (validation, *CURVES):
        if name in names and name != metric:
            of_samples = " by group samples" if name in CURVES else ""
            yield _chart("LINE", name, metricKey=name, displayName=name + of_samples, range={}, **LINEAR)


def _axis(metric: str) -> dict[str, str]:
    return {"key": metric, "type": "METRIC"}


def _chart(type_: str, uuid: str, **settings: Any) -> dict[str, Any]:
    return _part(uuid, type=type_, runsCountToCompare=LOADED, metricSectionId="chosen", isGenerated=False, **settings)


def _hidden(metric: str) -> dict[str, Any]:
    """A chart that the page does not draw, and that keeps it from making one of the same metric."""
    return _part(metric, type="BAR", metricKey=metric, deleted=True)


def _part(uuid: str, *, deleted: bool = False, **settings: Any) -> dict[str, Any]:
    return {"uuid": uuid, "deleted": deleted, **settings}


def _compressed(state: dict[str, Any]) -> str:
    return "deflate;" + base64.b64encode(zlib.compress(json.dumps(state).encode(), 9)).decode()


def _quoted(text: str) -> str:
    mark = '"' if "'" in text else "'"
    return f"{mark}{text}{mark}"


def _suite(experiment: Experiment) -> str:
    return str(experiment.name).removeprefix(content.experiment_name(""))


def chosen(found: Sequence[View], task: str | None, suite: str | None) -> list[View]:
    """The views of this task and suite; ``None`` takes all."""
    return [view for view in found if task in (None, view.task) and suite in (None, view.suite)]
