"""The parts of the cards that answer a question on the first screen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness import registry
from harness.report.content.titles import sampler_title, task_title
from harness.report.rendering.small_figures import Panel, Strip
from harness.report.rendering.styles import EQUIVARIANT, OTHER, ROLES, Style

_ORDER = ("ga", "ps", "fa", "mfa", "canonical", "none")
"""The order of samplers in a card: first those that draw samples, by how often they are compared."""


@dataclass(frozen=True, kw_only=True)
class Value:
    """A number in a row, and a small second line about it."""

    text: str
    small: str = ""
    is_best: bool = False


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A row of a block: a method or a sampler, a small line about it, an optional strip, and its numbers."""

    name: str
    style: Style
    values: Sequence[Value]
    small: str = ""
    strip: Strip | None = None
    is_code: bool = False


@dataclass(frozen=True, kw_only=True)
class Block:
    """What a card says about one task.

    Attributes:
        title: The short title of the task.
        link: The id of the part of the page with all numbers.
        note: What the numbers are about, in a few words.
        sentence: The answer in words, which says the same as the rows.
        columns: The heads of the columns of numbers.
        entries: The rows.
        remark: What the rows do not say.
        panel: A figure above the rows.
    """

    title: str
    link: str
    sentence: str
    note: str = ""
    columns: Sequence[str] = ()
    entries: Sequence[Entry] = ()
    remark: str = ""
    panel: Panel | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A card.

    Attributes:
        id: The id of the card in the page.
        question: The question.
        sentence: The answer in one or two sentences.
        blocks: The answer by task.
        open: The number of blocks that are shown at once.
        remark: How to read the card.
        link: The id of the section with all numbers.
        link_text: The name of that section.
    """

    id: str
    question: str
    sentence: str
    link: str
    link_text: str
    blocks: Sequence[Block] = ()
    open: int = 0
    remark: str = ""


def short_titles(tasks: Iterable[str]) -> Mapping[str, str]:
    """The first words of the titles of tasks, up to a colon; the name where several tasks have the same first words."""
    names = list(dict.fromkeys(tasks))
    known = registry.tasks()
    shorts = {name: task_title(name).split(": ")[0] if name in known else name for name in names}
    alone = list(shorts.values())
    return {name: short if alone.count(short) == 1 else name for name, short in shorts.items()}


def sampler_order(sampler: str | None) -> tuple[int, str]:
    """The sort key of a sampler; methods that are equivariant by construction come last."""
    if sampler is None:
        return len(_ORDER) + 1, ""
    return (_ORDER.index(sampler), "") if sampler in _ORDER else (len(_ORDER), sampler)


def sampler_name(sampler: str | None) -> str:
    """The title of a sampler, also for methods that are equivariant by construction."""
    return "equivariant by construction" if sampler is None else sampler_title(sampler)


def sampler_style(sampler: str | None) -> Style:
    """The colour of a sampler, with a marker that no base model changes."""
    role = EQUIVARIANT if sampler is None else sampler if sampler in ROLES else OTHER
    return Style(role, "solid", "circle")


def capital(sentence: str) -> str:
    """The sentence with a capital letter at its start."""
    return sentence[:1].upper() + sentence[1:]


def joined(words: Sequence[str]) -> str:
    """``a``, ``a and b``, or ``a, b and c``."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else ""


def span(values: Sequence[str]) -> str:
    """The first and the last of some texts: ``1 to 4``, or ``1`` if they are equal."""
    return values[0] if values[0] == values[-1] else f"{values[0]} to {values[-1]}"
