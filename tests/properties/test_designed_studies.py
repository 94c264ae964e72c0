"""The two designed studies: what their suites run, and that a small launch of each kind answers its question."""

from __future__ import annotations

import shlex
from collections import defaultdict
from pathlib import Path

import pytest

from harness.collate import collate
from harness.execution.run_job import run_job
from harness.records.store import Store
from harness.report.sections.group_size_scaling import group_size_scaling
from harness.report.sections.sample_complexity import sample_complexity
from harness.suites.loading import FOLDER, load

STUDIES = ("sample_complexity", "group_size")
PAPER_K = (1, 2, 5, 10, 20, 50, 100, 200, 500)


def cut(name: str) -> list[str]:
    """The command that a suite's comments give for two CPU cores."""
    lines = [line.lstrip("# ") for line in (FOLDER / f"{name}.yaml").read_text().splitlines() if line.startswith("#")]
    start = next(place for place, line in enumerate(lines) if line.startswith("symbench run"))
    return shlex.split(" ".join(lines[start:]))


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_is_sized_for_a_gpu_and_its_cut_for_two_cores(name: str) -> None:
    full, misfits = load(name).expand()
    assert not misfits
    assert all(0 < job.resources.gpus <= 1 and job.resources.chunk for job in full)
    assert all(job.spec.settings.curve_samples == PAPER_K for job in full)
    program, verb, suite, *options = cut(name)
    assert (program, verb, suite) == ("symbench", "run", name)
    sets = [value for option, value in zip(options[::2], options[1::2], strict=True) if option == "--set"]
    small, misfits = load(name, sets).expand()
    assert not misfits
    assert all(job.resources.gpus == 0 and job.resources.cpus == 1 for job in small)
    assert len(small) < len(full) / 2


def test_samples_in_training_are_crossed_with_samples_at_evaluation() -> None:
    jobs, _ = load("sample_complexity").expand()
    trained = defaultdict(set)
    for job in jobs:
        exact = job.spec.sampler.get("exact", False) and job.spec.task == "nbody"
        trained[job.spec.task, job.spec.method, exact].add(job.spec.settings.train_samples)
    studied = {key for key, found in trained.items() if found == {1, 2, 5, 10, 20, 50}}
    assert studied == {
        *(("exp_classify", f"mlp-{sampler}", False) for sampler in ("ga", "fa", "ps")),
        *(("nbody", f"gnn-{sampler}", False) for sampler in ("ga", "fa", "ps")),
    }
    assert all(len(found) == 1 for key, found in trained.items() if key not in studied)
    assert {key[1] for key in trained if key not in studied} == {
        "mlp-none",
        "mlp-canonical",
        "gin",
        "gnn-none",
        "gnn-fa",
        "gnn-canonical",
        "egnn",
    }


def test_groups_grow_as_far_as_time_and_memory_allow() -> None:
    jobs, _ = load("group_size").expand()
    sizes = defaultdict(set)
    for job in jobs:
        params = job.spec.task_params
        family = " x ".join(params["group"]) if "group" in params else job.spec.task
        sizes[family, job.spec.method].add(params["degree"] if "degree" in params else params["nodes"])
    whole = {10, 20, 50, 100, 200, 500}
    assert all(sizes["pattern", method] == whole for method in ("gin", "mlp-ps", "gin_id-ga", "vit-canonical"))
    assert sizes["nbody", "gnn-ps"] == sizes["nbody", "egnn"] == {5, 10, 20, 50, 100}
    assert sizes["O(#)", "mlp-ps"] == {2, 3, 5, 8, 16, 32}
    assert sizes["C_#", "mlp-ps"] == {4, 16, 64, 256, 1024, 4096}
    assert len({(job.spec.settings.train_samples, job.spec.settings.max_steps) for job in jobs}) == 1


def launched(folder: Path, text: str) -> Store:
    (folder / "small.yaml").write_text(text)
    store = Store(folder / "store")
    for job in load(folder / "small.yaml").expand().jobs:
        assert run_job(job, store, None).status == "succeeded"
    return store


def test_a_small_launch_shows_loss_and_entropy_by_epoch(tmp_path: Path) -> None:
    store = launched(
        tmp_path,
        """\
protocol: quick
seeds: 1
settings: {epochs: 3, validate_every: 1, train_samples: 4, curve_size: 20, curve_samples: [1, 8]}
experiments:
  - tasks: [teacher_graph_invariant]
    methods: [mlp-ga, mlp-ps, gin]
    task_params: {nodes: 5, train: 60, validation: 20, test: 20}
""",
    )
    tables = collate(store)
    for digest, method in tables.runs.select("digest", "method").iter_rows():
        found = store.history(digest).filter(name="train/permutation_entropy")
        assert found["step"].to_list() == ([] if method == "gin" else [0, 1, 2])
        assert found["value"].is_between(0.5, 2 * 1.39).all()  # nats: of four permutations at most 2 log 4
    ((comparison_group,),) = (task.comparison_groups for task in sample_complexity(tables, store.history))
    assert comparison_group.figure_group is not None
    titles = [figure.title for figure in comparison_group.figure_group.figures]
    assert titles[-2:] == ["Validation loss by epoch", "Entropy of the mean sampled permutation by epoch"]


def test_a_small_launch_shows_the_rate_of_monte_carlo_and_the_growth_of_cost(tmp_path: Path) -> None:
    """Networks without training: group averaging has variance 1/k, an exact frame of C_m grows as m."""
    store = launched(
        tmp_path,
        """\
protocol: quick
seeds: 3
settings: {epochs: 0, curve_size: 20, curve_repeats: 16, curve_samples: [1, 2, 5, 10], test_size: 20}
experiments:
  - tasks: [teacher_space_invariant]
    methods: [mlp-ga, mlp-fa]
    task_params: {group: ["C_#"], stabilised: 0, train: 20, validation: 10, test: 20}
    grid: {task_params.degree: [16, 64, 256]}
""",
    )
    tables = collate(store)
    for row in tables.sample_complexity.iter_rows(named=True):
        if row["method"] == "mlp-ga":
            assert row["variance_slope"] == pytest.approx(-1, abs=0.1)
            assert row["equivariance_slope"] == pytest.approx(-0.5, abs=0.05)
        else:
            assert (row["samples_needed"], row["variance"]) == (1, 0)
            assert row["equivariance"] < 1e-4
    memory = dict(tables.scaling.select("method", "memory_exponent").iter_rows())
    assert memory["mlp-fa"] == pytest.approx(1, abs=0.1)
    assert memory["mlp-ga"] == pytest.approx(0, abs=0.1)
    ((part,),) = (task.protocols for task in group_size_scaling(tables))
    assert len(part.table.rows) == 6
