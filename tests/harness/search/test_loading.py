"""Search files: what they say, what is wrong with them, and the suite that comes out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.errors import SymbenchError
from harness.search.loading import FOLDER, load
from harness.search.space import Dimension, Space
from harness.spec import Resources
from harness.suites import loading

GOOD: dict[str, Any] = {
    "task": "nbody",
    "method": "transformer-ps",
    "protocol": "quick",
    "settings": {"epochs": 6},
    "sampler": {"entropy_weight": 0.2},
    "space": {
        "sampler.noise_scale": {"loguniform": [0.1, 1.0]},
        "base.heads": {"choice": [2, 4]},
        "settings.train_samples": {"integer": [1, 4]},
    },
    "trials": 4,
}
POINT = {"sampler.noise_scale": 0.30000000000000004, "base.heads": 2, "settings.train_samples": 3}


@pytest.fixture
def written(tmp_path: Path) -> Any:
    def write(**changes: Any) -> Path:
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump({**GOOD, **changes}, sort_keys=False))
        return path

    return write


def test_a_trial_is_the_run_with_its_point_on_top_of_what_is_fixed(written: Any) -> None:
    job = load(written(resources={"cpus": 2, "chunk": 4})).trial(POINT)
    spec = job.spec
    assert (spec.task, spec.method, spec.seed, job.suite) == ("nbody", "transformer-ps", 0, "search/mine")
    assert (spec.settings.epochs, spec.settings.train_samples) == (6, 3)
    assert (spec.sampler["entropy_weight"], spec.sampler["noise_scale"]) == (0.2, 0.30000000000000004)
    assert spec.base["heads"] == 2
    assert (job.resources.cpus, job.resources.chunk) == (2, 4)


@pytest.mark.parametrize(("seed", "seeds"), [(0, [1, 2, 3]), (1, [0, 2, 3]), (7, [0, 1, 2])])
def test_the_best_is_a_suite_of_the_same_run_with_seeds_that_the_search_has_not_seen(
    written: Any, tmp_path: Path, seed: int, seeds: list[int]
) -> None:
    search = load(written(seed=seed, confirm=3))
    best = tmp_path / "best.yaml"
    best.write_text(search.confirmation(POINT, "why: it is the best"))
    found = loading.load(best)
    assert found.description == "why: it is the best"
    jobs, misfits = found.expand()
    assert misfits == []
    assert [job.spec for job in jobs] == [replace(search.trial(POINT).spec, seed=seed) for seed in seeds]


def test_the_best_suite_keeps_weights_and_trials_do_not(written: Any, tmp_path: Path) -> None:
    search = load(written(resources={"keep_weights": True, "chunk": 4}))
    assert search.trial(POINT).resources == Resources(chunk=4)
    best = tmp_path / "best.yaml"
    best.write_text(search.confirmation(POINT, "why"))
    assert {job.resources for job in loading.load(best).expand().jobs} == {Resources(chunk=4, keep_weights=True)}


@pytest.mark.parametrize("name", ["nbody_egnn", "nbody_probabilistic"])
def test_searches_that_ship_are_whole(name: str) -> None:
    search = load(name)
    assert search.example.spec.task == "nbody"
    assert (search.scored, search.mode) == ("mse", "min")
    assert sorted(path.stem for path in FOLDER.glob("*.yaml")) == ["nbody_egnn", "nbody_probabilistic"]


def test_the_probabilistic_search_varies_what_makes_the_method() -> None:
    assert set(load("nbody_probabilistic").space) == {
        "sampler.noise_scale",
        "sampler.temperature",
        "settings.lr",
        "settings.train_samples",
    }


def test_a_metric_is_the_tasks_own_or_the_loss(written: Any) -> None:
    task = {"task": "exp_classify", "method": "gin", "settings": {}, "sampler": {}}
    space = {"space": {"settings.lr": {"uniform": [1e-3, 1e-2]}}}
    assert (load(written(**task, **space)).scored, load(written(**task, **space)).mode) == ("accuracy", "max")
    assert load(written(**task, **space, metric="loss")).mode == "min"


WRONG = [
    ({"task": "nbdy"}, "line 1: there is no task 'nbdy': did you mean 'nbody'?"),
    ({"method": "transformr-ps"}, "line 2: there is no method 'transformr-ps': did you mean"),
    ({"protocol": "papr"}, "line 3: the task 'nbody' has no protocol 'papr': did you mean 'paper'?"),
    ({"sampler": {"noise_scal": 1.0}}, "none of the selected has the sampler setting 'noise_scal': did you mean"),
    ({"trails": 4}, "there is no key 'trails' here: did you mean 'trials'?"),
    ({"seeds": 4}, "there is no key 'seeds' here: did you mean 'seed'?"),
    ({"settings": {"epoch": 4}}, "there is no key 'epoch' here: did you mean 'epochs'?"),
    ({"trials": 0}, "'trials' should be greater than or equal to 1, not 0"),
    (
        {"trials": 5, "space": {"base.heads": {"choice": [2, 4]}, "sampler.noise_scale": {"choice": [1, 2]}}},
        "'trials' should be at most 4, the points of the space.",
    ),
    ({"trials": 4, "space": {"base.layers": {"integer": [1, 3]}}}, "'trials' should be at most 3, the points"),
    ({"confirm": 1}, "'confirm' should be greater than or equal to 2, not 1"),
    ({"name": "../x"}, "'name' String should match pattern"),
    ({"algorithm": "tpee"}, "there is no algorithm 'tpee': did you mean 'tpe'?"),
    ({"scheduler": "ahsa"}, "there is no scheduler 'ahsa': did you mean 'asha'?"),
    ({"metric": "mes"}, "there is no validation metric 'mes': did you mean 'mse'?"),
    ({"metric": "mse_transformed"}, "there is no validation metric 'mse_transformed': known: mse, loss"),
    ({"grace": 7}, "'grace' should be at most 6, the epochs of a trial."),
    ({"grace": 0}, "'grace' should be greater than or equal to 1, not 0"),
    ({"reduction": 1}, "'reduction' should be greater than 1, not 1"),
    ({"resources": {"stack": 2}}, "'stack' should be 1: each trial is trained alone, in one process."),
    ({"resources": {"workers": 2}}, "'workers' should be 1: each trial is trained alone, in one process."),
    ({"space": {}}, "'space' should not be empty."),
    (
        {
            "task": "graph8c",
            "method": "gin",
            "sampler": {},
            "settings": {},
            "space": {"base.width": {"choice": [8, 16]}},
        },
        "'graph8c' is not trained under 'quick', so there is nothing to search.",
    ),
    ({"method": "egnn", "sampler": {}}, "none of the selected has the sampler setting 'noise_scale': they have none"),
    ({"method": "gin", "sampler": {}, "space": {"settings.lr": {"uniform": [0.1, 1.0]}}}, "gin does not fit nbody: "),
]


@pytest.mark.parametrize(("changes", "sentence"), WRONG)
def test_what_is_wrong_is_one_sentence(written: Any, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SymbenchError) as caught:
        load(written(**changes))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


WRONG_SPACES = [
    ("sampler.noise_scal", {"uniform": [0, 1]}, "the sampler setting 'noise_scal': did you mean 'noise_scale'?"),
    ("sampler.noise_scale", {"unifrm": [0, 1]}, "there is no key 'unifrm' here: did you mean 'uniform'?"),
    ("sampler.noise_scale", {"uniform": [1, 0]}, "'sampler.noise_scale.uniform' should be two numbers, the lower one"),
    ("sampler.noise_scale", {"uniform": [1]}, "should be two numbers, the lower one first"),
    ("sampler.noise_scale", {"uniform": [1, 1]}, "should be two numbers, the lower one first"),
    ("base.heads", {"choice": [2, 4, "many"]}, "'heads' should be like"),
    ("sampler.noise_scale", {"uniform": ["a", 2]}, 'should be a valid number, not "a"'),
    ("sampler.noise_scale", {"loguniform": [0, 2]}, "should be above 0"),
    ("sampler.noise_scale", {"uniform": [0, 1], "choice": [1]}, "should have exactly one of uniform, loguniform,"),
    ("sampler.noise_scale", {"uniform": None}, "should have exactly one of uniform, loguniform,"),
    ("sampler.noise_scale", [0.1, 1.0], "should be a mapping, not [0.1, 1.0]"),
    ("settings.lr", {"uniform": [-1.0, 1.0]}, "lr must be positive, not -1.0"),
    ("settings.train_samples", {"uniform": [1, 8]}, "'settings.train_samples' should be a valid integer"),
    ("base.layers", {"uniform": [1, 8]}, "'layers' should be like"),
    ("settings.curve_repeats", {"integer": [2, 8]}, "only changes the test, and a search uses the validation set"),
    ("settings.test_samples", {"integer": [1, 8]}, "only changes the test, and a search uses the validation set"),
    ("task_params.nodes", {"integer": [4, 8]}, "a search varies settings.NAME, base.NAME or sampler.NAME, not 'task_"),
    ("base.heads", {"choice": [2, 4, 2]}, "2 and 2 are the same run: name one of them."),
    ("sampler.noise_scale", {"choice": [1, 1.0]}, "1 and 1.0 are the same run: name one of them."),
    ("lr", {"uniform": [0.1, 1.0]}, "a search varies settings.NAME, base.NAME or sampler.NAME, not 'lr'"),
]


@pytest.mark.parametrize(("name", "dimension", "sentence"), WRONG_SPACES)
def test_what_is_wrong_with_a_space_is_one_sentence(written: Any, name: str, dimension: Any, sentence: str) -> None:
    path = written(space={name: dimension})
    with pytest.raises(SymbenchError) as caught:
        load(path)
    assert sentence in str(caught.value)
    assert f"{path}, line " in str(caught.value)


def test_a_dimension_can_be_changed_from_the_command_line(written: Any) -> None:
    search = load(written(), ["space.base.heads={choice: [8]}", "trials=9"])
    assert search.space["base.heads"].choice == [8]
    assert search.trials == 9


def test_points_survive_the_way_to_optuna_and_back() -> None:
    import optuna

    space = Space(
        {
            "base.widths": Dimension.model_validate({"choice": [[8, 8], [16], None, True, "x"]}),
            "settings.lr": Dimension.model_validate({"loguniform": [1e-4, 1e-2]}),
            "base.layers": Dimension.model_validate({"loginteger": [1, 8]}),
        }
    )
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(40):
        trial = study.ask(space.distributions())
        values = space.values(trial.params)
        assert values["base.widths"] in [[8, 8], [16], None, True, "x"]
        assert 1e-4 <= values["settings.lr"] <= 1e-2
        assert values["base.layers"] in range(1, 9)
        assert space.parameters(values) == trial.params


def test_a_trial_may_be_stopped_at_its_last_epoch_at_the_earliest(written: Any) -> None:
    assert load(written(grace=6)).grace == 6


def test_a_value_of_the_space_counts_for_more_than_a_fixed_one(written: Any) -> None:
    search = load(written(settings={"epochs": 6, "train_samples": 9}, base={"heads": 8}))
    spec = search.trial(POINT).spec
    assert (spec.settings.train_samples, spec.base["heads"]) == (3, 2)


def test_a_range_is_searched_by_its_logarithm_where_it_says_so() -> None:
    for kind, log in (("uniform", False), ("loguniform", True), ("integer", False), ("loginteger", True)):
        found = Dimension.model_validate({kind: [1, 64]}).distribution()
        assert (found.log, found.low, found.high) == (log, 1, 64)  # type: ignore[attr-defined]
