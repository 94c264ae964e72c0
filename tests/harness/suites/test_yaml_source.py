"""YAML 1.2 within bounds: what a plain word is, and texts that no reader should spend time or memory on."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import SymbenchError
from harness.search.loading import load as load_search
from harness.suites import yaml_source
from harness.suites.loading import load
from harness.suites.model import Suite
from harness.suites.yaml_source import MOST_DEPTH, Unusable, dump, parse
from harness.verification import verdicts

SUITE = "protocol: quick\nseeds: 2\nexperiments:\n  - {tasks: [nbody], methods: [egnn]}\n"
SEARCH = "task: nbody\nmethod: egnn\nprotocol: quick\ntrials: 2\nspace: {settings.lr: {choice: [0.1]}}\n"

CORE = {
    "010": 10,
    "0o10": 8,
    "0x1F": 31,
    "+1": 1,
    "-0": 0,
    "0b11": "0b11",
    "0o9": "0o9",
    "1_000": "1_000",
    "1:30": "1:30",
    "1e3": 1e3,
    "1E-3": 1e-3,
    ".5": 0.5,
    "1.": 1.0,
    "-.inf": -math.inf,
    "1e": "1e",
    "1.2.3": "1.2.3",
    "true": True,
    "False": False,
    "yes": "yes",
    "No": "No",
    "on": "on",
    "off": "off",
    "y": "y",
    "tRue": "tRue",
    "~": None,
    "null": None,
    "Null": None,
    "": None,
    "nULL": "nULL",
    "2020-01-01": "2020-01-01",
    "=": "=",
    "<<": "<<",
    "!!int '7'": 7,
    "!!float 7": 7.0,
    "!!str 7": "7",
    "'7'": "7",
}


@pytest.mark.parametrize(("text", "value"), CORE.items(), ids=repr)
def test_plain_words_are_what_yaml_1_2_says(text: str, value: Any) -> None:
    for found in (parse(text)[0], (parse(f"a: [{text}]")[0] or {})["a"][:1] or [None]):
        found = found[0] if isinstance(found, list) else found
        assert found == value and type(found) is type(value)
    assert math.isnan(parse(".nan")[0])


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(10**90), 10**90)
        | st.floats(allow_nan=False)
        | st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=8)
        | st.sampled_from([str(word) for word in CORE]),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abcd"), inner),
        max_leaves=8,
    )
)
def test_what_is_written_is_read_back(value: Any) -> None:
    assert parse(dump(value))[0] == value


def test_one_mapping_on_top_of_another() -> None:
    found, _ = parse("{a: &x {b: 1, c: [2]}, d: {<<: *x, b: 3}, e: {<<: [*x, {f: 4}]}}")
    assert found == {"a": {"b": 1, "c": [2]}, "d": {"b": 3, "c": [2]}, "e": {"b": 1, "c": [2], "f": 4}}
    assert found["a"]["c"] is not found["d"]["c"]


def test_a_bomb_is_found_where_it_grows_too_large() -> None:
    with pytest.raises(Unusable) as caught:
        parse(BOUNDS["a bomb of lists"][0])
    assert caught.value.line == 6


def nested(depth: int) -> str:
    return "[" * depth + "1" + "]" * depth


def bomb(first: str, *entries: str) -> str:
    """Nine lines, each with ten aliases of the one before (written @)."""
    lines = [f"a: &a {first}"]
    for old, new in itertools.pairwise("abcdefghi"):
        lines.append(f"{new}: &{new} " + "".join(entries).replace("@", f"*{old}"))
    return "\n".join(lines) + "\n"


TEN = range(10)
CHAIN = "\n".join(["a0: &a0 [1]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 400))]) + "\n"
BOUNDS = {
    "a bomb of lists": (bomb("[1]", "[", "@, " * 10, "]"), "with its aliases written out this holds more than 200,000"),
    "a bomb of mappings": (
        bomb("{x: 1}", "{", *(f"k{n}: @, " for n in TEN), "}"),
        "with its aliases written out this holds more than",
    ),
    "a bomb of merges": (
        bomb("{x: 1}", "{", *(f"k{n}: {{<<: @}}, " for n in TEN), "}"),
        "with its aliases written out this holds more",
    ),
    "nested lists": ("a: " + nested(100_000), f"values are nested more than {MOST_DEPTH} deep"),
    "nested mappings": ("a: " + "{a: " * 2000 + "1" + "}" * 2000, f"values are nested more than {MOST_DEPTH} deep"),
    "nested by aliases": (CHAIN, f"values are nested more than {MOST_DEPTH} deep"),
    "a long integer": (f"a: {'9' * 5000}", "a number has 5000 digits: at most 100 are allowed"),
    "a long float": (f"a: 0.{'9' * 5000}", "a number has 5002 digits: at most 100 are allowed"),
    "a long hexadecimal": (f"a: 0x{'f' * 5000}", "a number has 5002 digits: at most 100 are allowed"),
    "a long text": ("a: " + "x" * (1 << 21), "characters, and at most 1,048,576 are allowed"),
    "a long version": (f"%YAML {'9' * 5000}.1\n--- {{a: 1}}", "this is not YAML: it holds an escape or a version"),
    "an escape": ('a: "\\Uffffffff"', "this is not YAML: it holds an escape or a version out of range"),
    "a lone surrogate": ('a: "\\ud800"', "a text holds the character U+D800: leave it out"),
    "a control character": ('a: "x\\x1b[31m"', "a text holds the character U+001B: leave it out"),
    "a control character in a key": ('"\\0": 1', "a text holds the character U+0000: leave it out"),
    "a raw control character": ("a: 1\nb: \x01", "this is not YAML: the character U+0001 is not allowed"),
    "itself": ("a: &a [*a]", "this value contains itself"),
    "itself, merged": ("a: &a {<<: *a}", "this value contains itself"),
    "a key that is a number": ("1: 2", "a key should be a text, not 1"),
    "a key that is nothing": ("~: 2", "a key should be a text, not ~"),
    "a key that is a list": ("? [a]\n: 2", "a key should be a text"),
    "a key twice": ("a: {b: 1, 'b': 2}", "'b' is given twice"),
    "a set": ("a: !!set {b}", "could not determine a constructor for the tag"),
    "a date": ("a: !!timestamp 2020-01-01", "could not determine a constructor for the tag"),
    "an object": ("a: !!python/object:os.system {}", "could not determine a constructor for the tag"),
    "a wrong tag": ("a: !!int x", "this is not of type int: 'x'"),
    "a tag of 1.1": ("a: !!bool yes", "this is not of type bool: 'yes'"),
    "two documents": ("a: 1\n---\nb: 2", "found another document"),
}


@pytest.mark.parametrize(("text", "sentence"), BOUNDS.values(), ids=BOUNDS.keys())
def test_a_text_out_of_bounds_is_one_sentence_at_once(text: str, sentence: str, tmp_path: Path) -> None:
    began = time.process_time()
    with pytest.raises(Unusable) as caught:
        parse(text)
    assert sentence in str(caught.value)
    for reader in (load, load_search):
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        with pytest.raises(SymbenchError) as error:
            reader(path)
        assert f"{path}" in str(error.value) and sentence in str(error.value)
        assert "\n" not in str(error.value) and len(str(error.value)) < 600
    assert time.process_time() - began < 5


@pytest.mark.parametrize("name", ["a bomb of lists", "nested lists", "a long integer", "a lone surrogate"])
def test_a_set_out_of_bounds_is_one_sentence(name: str, tmp_path: Path) -> None:
    text, sentence = BOUNDS[name]
    value = text.removeprefix("a: ") if name != "a bomb of lists" else "{" + text.replace("\n", ", ").rstrip(", ") + "}"
    path = tmp_path / "mine.yaml"
    path.write_text(SUITE)
    calls: Sequence[Callable[[], object]] = (
        lambda: load(path, [f"seeds={value}"]),
        lambda: verdicts.subject("gin", "graph8c", [f"base.width={value}"]),
    )
    for call in calls:
        with pytest.raises(SymbenchError) as caught:
            call()
        assert str(caught.value).startswith("--set ") and sentence in str(caught.value)
        assert len(str(caught.value)) < 600 and str(caught.value).isprintable()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1"])
def test_another_encoding_is_named(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes((SUITE + "description: é\n").encode(encoding))
    with pytest.raises(SymbenchError, match=r"mine\.yaml is not UTF-8 text \(byte \d+\): save it as UTF-8\."):
        load(path)


def test_a_byte_order_mark_is_read_over(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(SUITE.encode("utf-8-sig"))
    assert load(path).seeds == [0, 1]


def test_a_set_changes_one_of_two_places_that_share_an_alias(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    pair = "{{tasks: [nbody], methods: [{}], settings: {}}}"
    experiments = f"[{pair.format('egnn', '&few {epochs: 3}')}, {pair.format('gnn-ga', '*few')}]"
    path.write_text(f"protocol: quick\nexperiments: {experiments}\n")
    jobs = load(path, ["experiments.0.settings.epochs=5"]).expand().jobs
    assert {job.spec.method: job.spec.settings.epochs for job in jobs} == {"egnn": 5, "gnn-ga": 3}


def test_seeds_and_settings_are_read_as_yaml_1_2(tmp_path: Path) -> None:
    def suite(old: str = "", new: str = "", overrides: Sequence[str] = ()) -> Suite:
        path = tmp_path / "mine.yaml"
        path.write_text(SUITE.replace(old, new) if old else SUITE + new)
        return load(path, overrides)

    assert len(suite("seeds: 2", "seeds: 010").seeds) == len(suite(overrides=["seeds=010"]).seeds) == 10
    assert len(suite("seeds: 2", "seeds: 0o10").seeds) == 8
    assert suite("", "settings: {epochs: 1e1}\n").settings == {"epochs": 10}
    for wrong in ("seeds: 1_0", "seeds: 1:30", "seeds: yes", "seeds: true", "seeds: [true]", "seeds: [1_0]"):
        with pytest.raises(SymbenchError, match=r"line 2: 'seeds(\.0)?' should be a"):
            suite("seeds: 2", wrong)


WHOLE = ["epochs", "max_steps", "batch_size", "warmup_steps", "patience", "train_samples", "test_size", "curve_repeats"]
FLAGS = ["yes", "on", "1", "0", "'true'", "1.0"]
NO_NUMBERS = ["true", "false", "yes", "1_000", "1:30", "2020-01-01", "[1]", "{}", "'0x10'", "' 1 '"]
FIELDS = [
    *[("settings", name, value) for name in (*WHOLE, "lr", "weight_decay", "clip_norm") for value in NO_NUMBERS],
    *[("settings", "drop_last", value) for value in FLAGS],
    *[("settings", name, f"[{value}]") for name in ("curve_samples", "variance_samples") for value in NO_NUMBERS],
    *[
        ("resources", name, value)
        for name in ("cpus", "gpus", "chunk", "timeout", "stack", "workers")
        for value in NO_NUMBERS
    ],
    *[("resources", "memory", value) for value in ("true", "yes", "1:30", "2020-01-01", "[1]")],
    *[("resources", "keep_weights", value) for value in FLAGS],
    *[("base", name, value) for name in ("width", "layers") for value in (*NO_NUMBERS, "1.0")],
    *[("task_params", name, value) for name in ("nodes", "train", "data_seed") for value in (*NO_NUMBERS, "1.0")],
    *[("sampler", name, value) for name in ("temperature", "noise_scale", "width", "dropout") for value in NO_NUMBERS],
    *[("sampler", name, value) for name in ("fixed_noise", "input_linear", "norm_padding") for value in FLAGS],
]


@pytest.mark.parametrize(("section", "name", "value"), FIELDS)
def test_a_boolean_and_a_word_are_never_a_number(section: str, name: str, value: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    experiment = f"  - tasks: [nbody]\n    methods: [gnn-ps]\n    {section}: {{{name}: {value}}}\n"
    path.write_text(f"protocol: quick\nexperiments:\n{experiment}")
    with pytest.raises(SymbenchError) as caught:
        load(path).expand()
    assert str(caught.value).startswith(f"{path}, line 5: '") and name in str(caught.value)
    assert " should be " in str(caught.value)


@pytest.mark.parametrize("name", ["trials", "grace", "reduction", "seed", "confirm"])
@pytest.mark.parametrize("value", NO_NUMBERS)
def test_a_boolean_and_a_word_are_never_a_number_in_a_search(name: str, value: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(SEARCH.replace("trials: 2\n", "") + f"{name}: {value}\n" + ("trials: 2\n" * (name != "trials")))
    with pytest.raises(SymbenchError, match=rf"line 5: '{name}' should be "):
        load_search(path)
    path.write_text(SEARCH.replace("{choice: [0.1]}", f"{{uniform: [{value}, 2.0]}}"))
    with pytest.raises(SymbenchError, match=r"line 5: '(0|settings.lr.uniform.0|uniform.0)' should be "):
        load_search(path)


def test_a_suite_that_a_search_writes_reads_its_words_back() -> None:
    words = [word for word in CORE if word]
    assert yaml.safe_load("[1_000]") == [1000], "PyYAML's own reader is that of YAML 1.1"
    assert parse(dump(words))[0] == words


LINES = {
    "a character": ("a: 1\nb: \x01\n", 2),
    "no YAML": ("a: 1\nb: ]\n", 2),
    "a list that never ends": ("a: 1\nb: [1,\n", 3),
    "a key twice": ("a: 1\nb: {c: 1,\n  d: {e: 1,\n  e: 2}}\n", 4),
    "a key that is a number": ("a: 1\n2: 3\n", 2),
    "a wrong tag": ("a:\n  - 1\n  - !!int x\n", 3),
    "a long number": (f"a: 1\nb: {'9' * 101}\n", 2),
    "a text": ('a: 1\nb:\n  - "\\0"\n', 3),
    "nested": ("a: 1\nb:\n  " + nested(100), 3),
    "itself": ("a: 1\nb: &b\n  - *b\n", 2),
}


@pytest.mark.parametrize(("text", "line"), LINES.values(), ids=LINES.keys())
def test_what_is_wrong_is_told_with_its_line(text: str, line: int) -> None:
    with pytest.raises(Unusable) as caught:
        parse(text)
    assert caught.value.line == line


def test_bounds_are_what_their_sentences_say(monkeypatch: pytest.MonkeyPatch) -> None:
    def chain(links: int) -> str:
        return "\n".join(["a0: &a0 [1]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, links))])

    monkeypatch.setattr(yaml_source, "MOST_VALUES", 10)
    monkeypatch.setattr(yaml_source, "MOST_BYTES", 2000)
    for most, beyond in (
        ("[" + "1," * 9 + "]", "[" + "1," * 10 + "]"),
        ("{a: &a [1, 2], b: [*a, 3], c: 4}", "{a: &a [1, 2], b: [*a, 3], c: 4, d: 5}"),
        ("a: " + "9" * 100, "a: " + "9" * 101),
        ("x" * 2000, "x" * 2001),
    ):
        parse(most)
        with pytest.raises(Unusable):
            parse(beyond)
    monkeypatch.setattr(yaml_source, "MOST_VALUES", 10**6)
    for most, beyond in (
        (nested(MOST_DEPTH - 1), nested(MOST_DEPTH)),
        (chain(MOST_DEPTH - 2), chain(MOST_DEPTH - 1)),
    ):
        parse(most)
        with pytest.raises(Unusable, match="nested more than"):
            parse(beyond)
