"""Malformed suites and searches: each gets one sentence, and what is accepted none the less can be run.

Cases are valid files with their tree or their text mutated. What is accepted on tasks that are small is trained for a
step here, without Ray.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import SymbenchError
from harness.search.loading import FOLDER as SEARCHES
from harness.search.loading import load as load_search
from harness.spec import Job, Resources
from harness.suites.loading import FOLDER, load
from harness.suites.plan import plan
from harness.suites.yaml_source import dump, parse
from harness.training.context import RunContext
from harness.training.execute import execute

CASES = 1_200
TRAINED = 24
Place = tuple[Any, Any]

VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2, 3, 7, 2.5, -0.5, 0.0, 1.0, 1e-300, 1e300, 10**30, float("inf"), float("nan"),
    "", " ", "x", "yes", "010", "1_000", "1:30", "2020-01-01", "quick", "nbody", "egnn", "all", "*", "[", "é", "日本",
    "\u202e", "x" * 5_000, "a/b", "../x", "a\nb", "{{x}}", "%s", [], {}, [[]], [None], [True], [1, 1], [{}], {"x": 1},
    {"x": {"y": [1]}}, [["S_n"]], ["Q_n"], ["S_n"], ["S_n", "S_n"], [0], [-1], [3, "x"], list(range(30)),
]  # fmt: skip
NEAR: list[Any] = [
    None, True, False, 0, 1, 2, 3, 5, 12, 30, 0.0, 0.5, 1.0, 4.0, 1e-9, 1e6, [], [1], [3, 5], [1, 4], "relu", "gelu",
    "float64", "bfloat16", "adamw", "linear", "metric", "normal", "structured", "coordinate", "deepsets", "transformer",
    ["edges"], ["S_n"], ["C_n"], ["D_n", "SO(3)"], ["SE(3)"], ["O(#)"], ["C_n", "U(#)"], ["Aff(3)"], ["B_3"], ["C_#"],
]  # fmt: skip
KEYS = [
    "",
    "x",
    "seeds",
    "settings",
    "task_params",
    "base",
    "sampler",
    "resources",
    "grid",
    "epochs",
    "group",
    "width",
    "a.b",
    "settings.lr",
    "tasks",
    "methods",
    "protocol",
    "é",
    "x" * 3_000,
]
BYTES = [
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\x1b[31m", b"\t", b"\n", b": ", b"- ", b"&a ", b"*a",
    b"[", b"]", b"{", b"}", b"'", b'"', b"!!set ", b"|", b"%", b"@", b"#", b"? ", b"\xe2\x80\xa8", b"<<: *a",
    b'"\\ud800"', b"---\n", b"...", b"0" * 400, b"\x85",
]  # fmt: skip


def inside(node: Any) -> Iterator[Place]:
    """Every value of a tree, as the mapping or list that holds it and its key."""
    for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
        yield node, key
        yield from inside(node[key])


def changed(tree: Any, chance: random.Random) -> Any:
    tree = copy.deepcopy(tree)
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        places = list(inside(tree))
        if not places:
            return chance.choice(VALUES)
        holder, key = chance.choice(places)
        other, other_key = chance.choice(places)
        match chance.randrange(8):
            case 0 | 1 | 2:
                holder[key] = copy.deepcopy(chance.choice(VALUES))
            case 3:
                del holder[key]
            case 4 if isinstance(holder, dict):
                holder[chance.choice([*KEYS, str(key) + "x", str(key)[1:], str(key).upper()])] = holder.pop(key)
            case 5 if isinstance(holder, list):
                holder.insert(key, copy.deepcopy(holder[key]))
            case 6:
                holder[key] = chance.choice([[holder[key]], {"x": holder[key]}, [holder[key]] * 2])
            case _:
                holder[key], other[other_key] = copy.deepcopy(other[other_key]), copy.deepcopy(holder[key])
    return tree


def garbled(text: bytes, chance: random.Random) -> bytes:
    at, to = sorted(chance.choices(range(len(text) + 1), k=2))
    match chance.randrange(7):
        case 0:
            return text[:at] + chance.choice(BYTES) + text[at:]
        case 1:
            return text[:at] + text[min(to, at + 40) :]
        case 2:
            return text[:to] + text[at:]
        case 3:
            return text.decode().encode(chance.choice(["utf-16", "utf-32", "utf-8-sig", "utf-16-be", "utf-7"]))
        case 4:
            return text.replace(
                chance.choice([b"  ", b":", b"\n", b"[", b"-"]), chance.choice(BYTES), chance.randrange(1, 4)
            )
        case 5:
            return text[:at] + bytes(chance.randrange(256) for _ in range(chance.randrange(1, 6))) + text[at:]
        case _:
            return text[:at]


def malformed(tree: Any, chance: random.Random) -> bytes:
    """The text of a suite like ``tree`` with something wrong in it, most of the time."""
    if chance.random() < 0.75:
        return dump(changed(tree, chance)).encode("utf-8", "surrogatepass")
    return garbled(dump(tree).encode(), chance)


def sentence_of(call: Callable[[], Any], path: Path) -> str | None:
    """What is said of the file; ``None`` where it is accepted. Whatever is no sentence is raised."""
    try:
        call()
    except SymbenchError as error:
        said = str(error)
        assert str(path) in said or "no pair fits" in said or "There is no" in said, said
        assert "\n" not in said and said.strip() and len(said) < 3_000
        said.encode("utf-8")
        return said
    return None


def read(path: Path) -> Any:
    return parse(path.read_text(encoding="utf-8"))[0]


SUITES = {path.stem: read(path) for path in sorted(FOLDER.glob("*.yaml")) if path.stem not in ("standard", "paper")}
SEARCH_FILES = {path.stem: read(path) for path in sorted(SEARCHES.glob("*.yaml"))}
SEED = st.integers(0, 2**32 - 1)


def small(tree: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """One seed of one experiment: expanding a whole study would take most of the time."""
    return {**tree, "seeds": 1, "experiments": [chance.choice(tree["experiments"])]}


@settings(max_examples=CASES, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.sampled_from(sorted(SUITES)), SEED)
def test_a_malformed_suite_is_one_sentence(tmp_path_factory: pytest.TempPathFactory, name: str, seed: int) -> None:
    path = tmp_path_factory.getbasetemp() / "malformed.yaml"
    chance = random.Random(seed)
    path.write_bytes(malformed(small(SUITES[name], chance), chance))
    sentence_of(lambda: plan(load(path), None).check_some(), path)


@settings(max_examples=CASES // 4, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.sampled_from(sorted(SEARCH_FILES)), SEED)
def test_a_malformed_search_is_one_sentence(tmp_path_factory: pytest.TempPathFactory, name: str, seed: int) -> None:
    path = tmp_path_factory.getbasetemp() / "search.yaml"
    path.write_bytes(malformed(SEARCH_FILES[name], random.Random(seed)))
    sentence_of(lambda: load_search(path), path)


TINY_SETTINGS = {
    "epochs": 1,
    "max_steps": 1,
    "batch_size": 4,
    "drop_last": False,
    "train_samples": 1,
    "valid_samples": 1,
    "test_samples": 2,
    "test_repeats": 1,
    "train_size": 6,
    "valid_size": 4,
    "test_size": 4,
    "curve_samples": [1, 2],
    "curve_size": 4,
    "curve_repeats": 2,
    "initialisations": 1,
    "warmup_epochs": 0,
    "warmup_steps": 0,
    "clip_norm": 1.0,
    "lr": 0.001,
    "weight_decay": 0.0,
    "patience": 3,
    "validate_every": 1,
    "schedule": "constant",
    "monitor": "loss",
    "variance_samples": [],
    "analysis_epochs": [],
    "precision": "float32",
    "optimizer": "adam",
}
SIZES = {"train": 6, "validation": 4, "test": 4}
WIDTH = {"width": 24, "layers": 1}
Q = {
    "width": 8,
    "layers": 1,
    "noise_scale": 1.0,
    "temperature": 0.1,
    "sinkhorn_steps": 3,
    "dropout": 0.1,
    "group": None,
    "entropy_weight": 0.1,
    "neighbours": 2,
    "axis_floor": 0.0,
    "dropout_unit": "vector",
}
NO_NOISE = {name: value for name, value in Q.items() if name != "noise_scale"}
SPACE = {"nodes": 3, "group": ["S_n", "O(#)"], "degree": 3, "stabilised": 0.25, "data_seed": 0}
GRAPHS = {"nodes": 4, "group": ["S_n"], "stabilised": 0.25, "data_seed": 0}
TINY: list[dict[str, Any]] = [
    {"tasks": [task], "methods": [method], "task_params": {**params, **SIZES}, "base": base, "sampler": sampler}
    for task, params, method, base, sampler in (
        ("teacher_space_equivariant", SPACE, "gnn-ps", WIDTH, {**Q, "fixed_noise": False}),
        (
            "teacher_space_invariant",
            SPACE,
            "mlp-fa",
            {"widths": [8], "activation": "relu", "reads": ["geometry"]},
            {"group": ["S_n", "O(3)"], "exact": True},
        ),
        ("teacher_space_invariant", SPACE, "mlp-canonical", {"widths": [8, 8], "final_activation": False}, NO_NOISE),
        ("teacher_space_equivariant", SPACE, "transformer-mfa", {**WIDTH, "heads": 2}, {"exact": False}),
        ("teacher_space_equivariant", SPACE, "mpnn-ga", {**WIDTH, "edge_channels": 1}, {"group": ["O(3)"]}),
        ("teacher_space_invariant", SPACE, "vector_neurons", {**WIDTH, "neighbours": 2}, {}),
        ("teacher_space_equivariant", SPACE, "fa_gnn", WIDTH, {}),
        ("teacher_space_equivariant", SPACE, "tfn", {**WIDTH, "degree": 1, "radii": 3, "reach": 2.0}, {}),
        (
            "teacher_graph_equivariant",
            GRAPHS,
            "mlp-ps",
            {"widths": [8], "reads": ["edges"]},
            {**Q, "q": "gin", "noise": "uniform", "input_linear": True, "norm_padding": False},
        ),
        ("teacher_graph_invariant", GRAPHS, "transformer-ps", {**WIDTH, "heads": 2}, {**Q, "q": "transformer"}),
        ("teacher_graph_invariant", GRAPHS, "gin_id-canonical", {**WIDTH, "head": [4]}, {**NO_NOISE, "q": "deepsets"}),
        ("teacher_graph_equivariant", GRAPHS, "gin_id-mfa", WIDTH, {"exact": False}),
        ("teacher_graph_invariant", GRAPHS, "gps", {**WIDTH, "heads": 4, "walk_steps": 3}, {}),
        ("teacher_graph_invariant", GRAPHS, "ppgn", {"width": 8, "layers": 1, "depth": 1}, {}),
    )
]
LARGE = 64
BOUNDED = (
    "nodes",
    "degree",
    "train",
    "validation",
    "test",
    "width",
    "layers",
    "heads",
    "depth",
    "neighbours",
    "radii",
    "walk_steps",
    "sinkhorn_steps",
    "edge_channels",
    "head",
    "widths",
)


def cheap(job: Job) -> bool:
    """Whether a run is small enough to be trained here: large values may work, but not in a moment."""
    numbers = [value for part in (job.spec.task_params, job.spec.base, job.spec.sampler) for value in part.values()]
    flat = [entry for value in numbers for entry in (value if isinstance(value, list) else [value])]
    whole = [value for value in flat if type(value) is int]
    setup = job.spec.settings
    counts = (
        setup.train_samples,
        setup.valid_samples,
        setup.test_samples,
        setup.test_repeats,
        setup.curve_repeats,
        setup.max_steps or LARGE,
        setup.variance_repeats / 10,
        setup.epochs,
        *setup.curve_samples,
    )
    return max(whole, default=0) <= LARGE and max(counts) <= LARGE


def trained(path: Path) -> int:
    """Train the first run of an accepted suite, and say how many were."""
    for job in load(path).expand().jobs[:1]:
        if cheap(job):
            execute(job.spec, RunContext.of(job.spec, Resources(chunk=job.resources.chunk)))
            return 1
    return 0


def nudged(tree: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """One setting with another value that may just work."""
    tree = copy.deepcopy(tree)
    experiment = tree["experiments"][0]
    sections = [
        tree["settings"],
        *(experiment[name] for name in ("task_params", "base", "sampler") if experiment[name]),
    ]
    section = chance.choice(sections)
    name = chance.choice(sorted(section))
    alike = [value for value in NEAR if type(value) is type(section[name])]
    section[name] = chance.choice(alike if chance.random() < 0.9 else NEAR)
    return tree


def test_what_is_accepted_trains(tmp_path: Path) -> None:
    chance, path, count = random.Random(0), tmp_path / "accepted.yaml", 0
    for turn in range(TRAINED * 10):
        tree = {"protocol": "quick", "settings": TINY_SETTINGS, "seeds": 1, "experiments": [TINY[turn % len(TINY)]]}
        path.write_bytes(dump(nudged(tree, chance)).encode())
        if sentence_of(lambda: plan(load(path), None).check_some(), path) is None:
            count += trained(path)
        if count >= TRAINED:
            return
    raise AssertionError(f"only {count} of the mutated suites were accepted")


@pytest.mark.parametrize("experiment", TINY, ids=lambda one: f"{one['tasks'][0]}-{one['methods'][0]}")
def test_what_is_mutated_is_itself_valid(experiment: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "valid.yaml"
    path.write_text(dump({"protocol": "quick", "settings": TINY_SETTINGS, "experiments": [experiment]}))
    assert trained(path) == 1
