"""Suites: what they expand to, and the one sentence that says what is wrong with one."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import registry
from harness.errors import SymbenchError
from harness.suites import model as suite_module
from harness.suites.loading import FOLDER, load
from harness.suites.model import Expansion, Suite

SUITE = """\
protocol: quick
seeds: 2
experiments:
  - tasks: [nbody]
    methods: [egnn, "mlp-*"]
    sampler: {temperature: 0.2}
    grid:
      task_params.nodes: [4, 8]
overrides:
  - task: nbody
    method: egnn
    settings: {lr: 2e-3}
    resources: {gpus: 0.5, memory: 2GiB}
"""
Load = Callable[..., Suite]


@pytest.fixture
def loaded(tmp_path: Path) -> Load:
    def write_and_load(text: str, overrides: Sequence[str] = ()) -> Suite:
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return load(path, overrides)

    return write_and_load


def digests(expansion: Expansion) -> list[str]:
    return [job.spec.digest for job in expansion.jobs]


def test_a_suite_is_tasks_x_methods_x_grid_x_seeds(loaded: Load) -> None:
    suite = loaded(SUITE)
    jobs, misfits = suite.expand()
    assert suite.name == "mine"
    assert misfits == []
    assert len(jobs) == len({job.spec.digest for job in jobs}) == 7 * 2 * 2
    assert Counter(job.spec.task_params["nodes"] for job in jobs) == {4: 14, 8: 14}
    assert Counter(job.spec.seed for job in jobs) == {0: 14, 1: 14}
    assert {job.suite for job in jobs} == {"mine"}


def test_every_run_is_what_the_registry_resolves(loaded: Load) -> None:
    for job in loaded(SUITE).expand().jobs:
        method = registry.method(job.spec.method)
        learns = method.sampler is not None and "temperature" in method.sampler.params
        expected = registry.resolve(
            "nbody",
            job.spec.method,
            "quick",
            job.spec.seed,
            task_params={"nodes": job.spec.task_params["nodes"]},
            sampler={"temperature": 0.2} if learns else {},
            settings={"lr": 2e-3} if job.spec.method == "egnn" else {},
        )
        assert job.spec == expected


def test_overrides_reach_their_pairs_only(loaded: Load) -> None:
    for job in loaded(SUITE).expand().jobs:
        special = job.spec.method == "egnn"
        assert job.spec.settings.lr == (2e-3 if special else 1e-3)
        assert (job.resources.gpus, job.resources.memory) == ((0.5, 2 << 30) if special else (0.0, None))


def test_later_layers_win(loaded: Load) -> None:
    def epochs(text: str) -> set[int]:
        return {job.spec.settings.epochs for job in loaded(text).expand().jobs}

    top = "protocol: quick\nsettings: {epochs: 3}\nexperiments:\n  - tasks: nbody\n    methods: egnn\n"
    assert epochs(top) == {3}
    assert epochs(top + "    settings: {epochs: 4}\n") == {4}
    overrides = "overrides:\n  - {method: egnn, settings: {epochs: 5}}\n  - {task: n*, settings: {epochs: 6}}\n"
    assert epochs(top + "    settings: {epochs: 4}\n" + overrides) == {6}
    assert epochs(top + "    grid: {settings.epochs: [7, 8]}\n" + overrides) == {7, 8}


def test_equal_runs_are_merged_and_the_first_counts(loaded: Load) -> None:
    experiment = "  - {{tasks: nbody, methods: {}, resources: {{cpus: {}}}}}\n"
    text = "protocol: quick\nexperiments:\n" + experiment.format("egnn", 1) + experiment.format('[egnn, "gnn-*"]', 2)
    jobs, _ = loaded(text).expand()
    assert [job.resources.cpus for job in jobs] == [1, 2, 2, 2, 2, 2, 2]


def test_a_grid_over_what_only_some_methods_have_gives_the_others_once(loaded: Load) -> None:
    experiment = "{tasks: nbody, methods: [egnn, gnn-ps], grid: {sampler.noise_scale: [0.5, 2]}}"
    text = f"protocol: quick\nexperiments: [{experiment}]\n"
    assert Counter(job.spec.method for job in loaded(text).expand().jobs) == {"egnn": 1, "gnn-ps": 2}


def test_pairs_that_do_not_fit_are_listed_with_their_reason(loaded: Load) -> None:
    jobs, misfits = loaded("protocol: quick\nexperiments: [{tasks: all, methods: all}]\n").expand()
    pairs = {(job.spec.task, job.spec.method) for job in jobs}
    unfit = {(pair.task, pair.method) for pair in misfits}
    assert not pairs & unfit
    assert pairs | unfit == {(task, method) for task in registry.tasks() for method in registry.methods()}
    for task, method, reason in misfits:
        assert registry.method(method).misfit(registry.task(task), registry.task(task).params) == reason


def test_parameters_decide_whether_a_pair_fits(loaded: Load) -> None:
    experiment = "{tasks: nbody, methods: transformer-ga, grid: {task_params.nodes: [32, 33]}}"
    text = f"protocol: quick\nexperiments: [{experiment}]\n"
    jobs, misfits = loaded(text).expand()
    assert [job.spec.task_params["nodes"] for job in jobs] == [32]
    assert len(misfits) == 1 and "1089" in misfits[0].reason


@pytest.mark.parametrize("number", ["1e-3", "0.001", "1.0e-03", "'0.001'"])
def test_spellings_of_a_number_are_one_run(loaded: Load, number: str) -> None:
    def run(lr: str, noise_scale: str) -> list[str]:
        experiment = (
            f"{{tasks: nbody, methods: gnn-ps, settings: {{lr: {lr}}}, sampler: {{noise_scale: {noise_scale}}}}}"
        )
        return digests(loaded(f"protocol: quick\nexperiments: [{experiment}]\n").expand())

    assert run(number, "1") == run("0.001", "1.0")


@pytest.mark.parametrize(
    ("override", "old", "new"),
    [
        ("seeds=1", "seeds: 2", "seeds: 1"),
        ("seeds=[3, 5]", "seeds: 2", "seeds: [3, 5]"),
        ("settings.epochs=2", "seeds: 2", "seeds: 2\nsettings: {epochs: 2}"),
        ("settings.lr=1e-2", "seeds: 2", "seeds: 2\nsettings: {lr: 0.01}"),
        ("experiments.0.methods=[egnn, mlp-ps]", '[egnn, "mlp-*"]', "[egnn, mlp-ps]"),
        ("experiments.0.grid.task_params.nodes=[5]", "[4, 8]", "[5]"),
        ("experiments.0.sampler.temperature=0.3", "0.2", "0.3"),
        ("overrides.0.settings.lr=5e-3", "2e-3", "5e-3"),
    ],
)
def test_set_is_editing_the_file(loaded: Load, override: str, old: str, new: str) -> None:
    assert old in SUITE
    edited = loaded(SUITE.replace(old, new)).expand()
    assert digests(loaded(SUITE, [override]).expand()) == digests(edited)
    assert loaded(SUITE, [override]).expand().jobs == edited.jobs


def test_of_two_sets_the_later_wins(loaded: Load) -> None:
    assert loaded(SUITE, ["seeds=1", "seeds=3"]).expand() == loaded(SUITE, ["seeds=3"]).expand()


ONE_GPU = "since a process uses one GPU: set workers to train a run on several"
MISTAKES = [
    ("seeds: 2", "sedes: 2", 2, "there is no key 'sedes' here: did you mean 'seeds'?"),
    ("sampler:", "smapler:", 6, "there is no key 'smapler' here: did you mean 'sampler'?"),
    ("method: egnn", "methd: egnn", 11, "there is no key 'methd' here: did you mean 'method'?"),
    ("gpus: 0.5", "gpu: 0.5", 13, "there is no key 'gpu' here: did you mean 'gpus'?"),
    ("{lr: 2e-3}", "{lrr: 2e-3}", 12, "there is no key 'lrr' here: did you mean 'lr'?"),
    ("[nbody]", "[nbdy]", 4, "there is no task 'nbdy': did you mean 'nbody'?"),
    ("[egnn,", "[egn,", 5, "there is no method 'egn': did you mean 'egnn'?"),
    ('"mlp-*"', '"mlpp-*"', 5, "there is no method 'mlpp-*': did you mean"),
    ("method: egnn", "method: egn", 11, "there is no method 'egn': did you mean 'egnn'?"),
    ("protocol: quick", "protocol: quik", 1, "the task 'nbody' has no protocol 'quik': did you mean 'quick'?"),
    (
        "temperature",
        "temprature",
        6,
        "nothing selected has the sampler setting 'temprature': did you mean 'temperature'?",
    ),
    ("_params.nodes", "_params.node", 8, "nothing selected has the task_params setting 'node': did you mean 'nodes'?"),
    ("task_params.nodes", "settings.epoch", 8, "there is no key 'epoch' here: did you mean 'epochs'?"),
    ("task_params.nodes", "nodes", 8, "a grid varies protocol, settings.NAME"),
    ("[4, 8]", "[]", 8, "should not be empty"),
    ("[4, 8]", "[4, many]", 8, "'nodes' should be like 5, not 'many'."),
    ("[4, 8]", "[4, -8]", 8, "'nodes' should be like 5, not -8."),
    ("0.2", "-0.2", 6, "'temperature' should be like 0.1, not -0.2."),
    ("0.2", ".nan", 6, "'temperature' should be like 0.1, not nan."),
    ("0.2", "2020-01-01", 6, "'temperature' should be like 0.1"),
    ("2e-3", "fast", 12, "'settings.lr' should be a valid number, not \"fast\"."),
    ("{lr: 2e-3}", "{batch_size: 0}", 12, "batch_size must be at least 1, not 0."),
    ("{lr: 2e-3}", "{optimizer: sgd}", 12, "'settings.optimizer' should be 'adam' or 'adamw', not \"sgd\"."),
    *(
        ("gpus: 0.5", f"gpus: {gpus}", 13, f"'resources.gpus' should be at most 1, {ONE_GPU}.")
        for gpus in ("1.5", "2", "8")
    ),
    ("gpus: 0.5", "gpus: -1", 13, "'resources.gpus' should be greater than or equal to 0, not -1."),
    ("gpus: 0.5", "cpus: -1", 13, "'resources.cpus' should be greater than or equal to 0, not -1."),
    ("gpus: 0.5", "cpus: .inf", 13, "'resources.cpus' should be a finite number"),
    ("gpus: 0.5", "timeout: 0", 13, "'resources.timeout' should be greater than 0, not 0."),
    ("gpus: 0.5", "chunk: 0", 13, "'resources.chunk' should be greater than or equal to 1, not 0."),
    ("gpus: 0.5", "stack: 0", 13, "'resources.stack' should be greater than or equal to 1, not 0."),
    ("gpus: 0.5", "workers: 0", 13, "'resources.workers' should be greater than or equal to 1, not 0."),
    ("memory: 2GiB", "memory: 0", 13, "'resources.memory' should be greater than 0, not 0."),
    ("[4, 8]", "[4, 8.5]", 8, "'nodes' should be like 5, not 8.5."),
    ("task_params.nodes: [4, 8]", "protocol: [quick, papr]", 8, "has no protocol 'papr': did you mean 'paper'?"),
    ('"mlp-*"', '"MLP-*"', 5, "there is no method 'MLP-*': did you mean"),
    ("seeds: 2", "seeds: -1", 2, "'seeds' should be a list of seeds or how many, from 1 to 100000, not -1."),
    ("seeds: 2", "seeds: []", 2, "'seeds' should not be empty."),
    ("{lr: 2e-3}", "{warmup_steps: -1}", 12, "warmup_steps must be at least 0, not -1."),
    ("seeds: 2", f"seeds: {10**30}", 2, "'seeds' should be a list of seeds or how many"),
    ("seeds: 2", f"seeds: [{2**32}]", 2, "'seeds.0' should be less than 4294967296"),
    ("seeds: 2", "seeds: [1, 1]", 2, "'seeds' should not name a value twice."),
    ("seeds: 2", "seeds: 2\nseeds: 3", 3, "'seeds' is given twice."),
    ("[nbody]", "[nbody", 5, "this is no YAML: "),
    ("[nbody]", "&a [*a]", 4, "this value contains itself."),
]


@pytest.mark.parametrize(("old", "new", "line", "sentence"), MISTAKES)
def test_a_mistake_is_one_sentence_with_file_and_line(
    loaded: Load, tmp_path: Path, old: str, new: str, line: int, sentence: str
) -> None:
    assert old in SUITE
    with pytest.raises(SymbenchError) as error:
        loaded(SUITE.replace(old, new, 1))
    said = str(error.value)
    assert said.startswith(f"{tmp_path / 'mine.yaml'}, line {line}: {sentence}") or (
        said.startswith(f"{tmp_path / 'mine.yaml'}, line {line}: ") and sentence in said
    )
    assert "\n" not in said
    assert said.endswith((".", "?"))


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("sedes=1", "--set sedes=1: there is no key 'sedes' here: did you mean 'seeds'?"),
        ("settings.epohcs=1", "--set settings.epohcs=1: there is no key 'epohcs' here: did you mean 'epochs'?"),
        ("experiments.0.methods=[egn]", "--set experiments.0.methods=[egn]: there is no method 'egn': did you mean"),
        ("experiments.7.methods=[egnn]", "'experiments' is a list of 1, counted from 0."),
        ("experiments.x.methods=[egnn]", "'experiments' is a list of 1, counted from 0."),
        ("experiments.1.methods=[egnn]", "'experiments' is a list of 1, counted from 0."),
        ("=1", "write it as --set key=value"),
        ("seeds.x=1", "'seeds' has nothing inside to set."),
        ("seeds", "write it as --set key=value"),
        ("seeds=[1", "the value is no YAML."),
        ("seeds=0", "'seeds' should be a list of seeds or how many, from 1 to 100000, not 0."),
        ("settings.epochs=-3", "epochs must be at least 0, not -3."),
        ("experiments=[]", "'experiments' should not be empty."),
    ],
)
def test_a_mistake_in_a_set_is_one_sentence(loaded: Load, override: str, sentence: str) -> None:
    with pytest.raises(SymbenchError) as error:
        loaded(SUITE, [override])
    assert str(error.value).startswith(f"--set {override}: ")
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    "text", ["", "- 1", "quick", "\x07", "a: b: c", "{", "\ud800".encode("utf-8", "surrogatepass")]
)
def test_what_is_no_suite_at_all_is_named(tmp_path: Path, text: str | bytes) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SymbenchError, match=r"broken\.yaml"):
        load(path)


def test_a_missing_key_is_named(loaded: Load) -> None:
    with pytest.raises(SymbenchError, match="'protocol' is missing"):
        loaded(SUITE.replace("protocol: quick\n", ""))
    with pytest.raises(SymbenchError, match="line 4: 'tasks' is missing"):
        loaded(SUITE.replace("tasks: [nbody]\n    methods", "methods"))


def test_a_missing_file_brings_the_nearest_suite() -> None:
    with pytest.raises(SymbenchError, match=r"'quik': did you mean 'quick'\?"):
        load("quik")


def test_a_path_wins_over_a_bundled_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    bundled = load("quick")
    assert bundled.name == "quick" and len(bundled.experiments) > 1
    Path("quick").write_text(SUITE + "name: mine\n")
    assert load("quick").name == "mine"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_no_text_gives_a_traceback(loaded: Load, text: str) -> None:
    try:
        loaded(text)
    except SymbenchError as error:
        assert "mine.yaml" in str(error)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.sampled_from(["quick", "nbody", "egnn", "*", "", "-1"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from([*Suite.model_fields, "tasks", "methods", "grid", "epochs", "lr"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    ),
    st.sampled_from(["seeds", "settings", "resources", "name", "overrides", "experiments", "protocol"]),
)
def test_no_value_gives_a_traceback(loaded: Load, value: object, key: str) -> None:
    text = yaml.safe_dump({**yaml.safe_load(SUITE), key: value})
    try:
        loaded(text).expand()
    except SymbenchError as error:
        assert "mine.yaml" in str(error)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_bundled_suite_loads_and_has_no_misfit(path: Path) -> None:
    jobs, misfits = load(path).expand()
    assert jobs
    assert misfits == []


def test_quick_covers_what_the_demo_shows() -> None:
    jobs, _ = load("quick").expand()
    methods = {job.spec.method for job in jobs}
    samplers = {card.sampler.name for name in methods if (card := registry.method(name)).sampler}
    bases = {registry.method(name).base.name for name in methods}
    assert {job.spec.task for job in jobs} == {"graph8c", "exp_classify", "pattern", "nbody"}
    assert {"gin", "egnn", "mlp", "gin_id", "gnn", "transformer"} <= bases
    assert samplers == {"none", "ga", "fa", "mfa", "canonical", "ps"}
    assert {job.spec.task_params["nodes"] for job in jobs if job.spec.task == "nbody"} >= {4, 8, 16, 32}
    assert {job.spec.protocol for job in jobs} == {"quick"}
    assert len({job.spec.seed for job in jobs}) >= 2


def test_twenty_thousand_runs_expand_in_seconds(loaded: Load) -> None:
    text = (
        "protocol: quick\nseeds: 25\nexperiments: [{tasks: all, methods: all, grid: {settings.lr: [0.1, 0.2, 0.3]}}]\n"
    )
    began = time.process_time()
    jobs, _ = loaded(text).expand()
    assert len(jobs) >= 20_000
    assert len({job.spec.digest for job in jobs}) == len(jobs)
    assert time.process_time() - began < 10


def test_a_misspelt_key_is_named_rather_than_the_one_it_leaves_missing(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text("protocol: quick\nseeds: 1\nexperimnts:\n  - {tasks: [graph8c], methods: [gin]}\n")
    with pytest.raises(SymbenchError, match=r"suite\.yaml, line 3: there is no key 'experimnts'.*'experiments'"):
        load(path)


def test_more_runs_than_there_may_be_are_refused_also_where_seeds_make_them(
    loaded: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite_module, "MOST_RUNS", 27)
    with pytest.raises(SymbenchError, match=r"line 4: There are more than 27 runs\."):
        loaded(SUITE).expand()
    monkeypatch.setattr(suite_module, "MOST_RUNS", 28)
    assert len(loaded(SUITE).expand().jobs) == 28
    monkeypatch.setattr(suite_module, "MOST_RUNS", 13)
    with pytest.raises(SymbenchError, match=r"line 4: There are 14 runs, and 13 at most\."):
        loaded(SUITE).expand()


def test_tasks_that_a_glob_finds_and_that_lack_the_protocol_are_misfits(loaded: Load) -> None:
    jobs, misfits = loaded('protocol: standard\nexperiments: [{tasks: "*", methods: gin}]\n').expand()
    lacking = {name for name, card in registry.tasks().items() if "standard" not in card.protocols}
    assert jobs and lacking and not lacking & {job.spec.task for job in jobs}
    assert lacking == {pair.task for pair in misfits if pair.reason.endswith("has no protocol standard")}


def test_seeds_of_an_experiment_count_for_it_alone(loaded: Load) -> None:
    two = "  - {tasks: nbody, methods: egnn, seeds: [7]}\n  - {tasks: nbody, methods: gnn-ga}\n"
    jobs, _ = loaded("protocol: quick\nseeds: 2\nexperiments:\n" + two).expand()
    assert [(job.spec.method, job.spec.seed) for job in jobs] == [("egnn", 7), ("gnn-ga", 0), ("gnn-ga", 1)]
