"""How the report writes numbers, durations, dates and lists."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from harness.utils import text


def estimate(mean: float | None, stderr: float | None) -> str:
    """``0.0312 ± 0.0021``: the standard error with two digits, and the mean to the same place, with at most five.

    Args:
        mean: The mean; the result is empty if it is None.
        stderr: The standard error; the mean is written alone if it is None.
    """
    if mean is None:
        return ""
    if not stderr:
        return plain(mean) if stderr is None else f"{plain(mean)} ± 0"
    if not (math.isfinite(mean) and math.isfinite(stderr)):
        return f"{plain(mean)} ± {stderr:.1g}"
    if 0 < abs(mean) < 1e-4:
        return f"{mean:.2e} ± {stderr:.1e}"
    places = 1 - _exponent(stderr)
    if mean:
        places = min(places, 4 - _exponent(mean))
    shown = max(0, min(places, 8))
    error = f"{stderr:,.{shown}f}"
    return f"{mean:,.{shown}f} ± {error if float(error.replace(',', '')) else f'{stderr:.1g}'}"


def plain(value: float | None) -> str:
    """A number with four significant digits; whole numbers with all digits."""
    if value is None:
        return ""
    if not math.isfinite(value):
        return str(value)
    if value == round(value) and abs(value) < 1e15:
        return f"{round(value):,}"
    if abs(value) >= 1e15 or abs(value) < 1e-4:
        return f"{value:.2e}"
    places = max(0, 3 - _exponent(value))
    return f"{value:,.{places}f}"


def between(value: float, low: float, high: float) -> str:
    """An estimate and its interval: ``0.12 [0.05, 0.2]``."""
    return f"{plain(value)} [{plain(low)}, {plain(high)}]"


def small(value: float) -> str:
    """A number with three significant digits, such as ``0.0123``; below 0.001 in the form ``1.23e-04``."""
    if value == 0:
        return "0"
    return f"{value:.2e}" if abs(value) < 1e-3 else f"{value:#.3g}"


def seconds(value: float | None) -> str:
    """A short time: ``35 µs``, ``1.2 ms``, ``3.4 s``."""
    if value is None:
        return ""
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= scale:
            return f"{_three_digits(value / scale)} {unit}"
    return f"{_three_digits(value / 1e-9)} ns" if value else "0 s"


def duration(value: float | None) -> str:
    """How long something took: ``4.2 s``, ``42 s``, ``3 min 20 s``, ``2 h 05 min``."""
    return "" if value is None else text.duration(value, tenths=True)


def memory(value: float | None) -> str:
    """A number of bytes: ``3.10 MiB``."""
    if value is None:
        return ""
    for scale, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if value >= scale:
            return f"{_three_digits(value / scale)} {unit}"
    return f"{value:.0f} B"


def operations(value: float | None) -> str:
    """A count with a decimal prefix: ``8.50 M``, ``1.20 G``."""
    if value is None:
        return ""
    for scale, unit in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{_three_digits(value / scale)} {unit}"
    return f"{value:.0f}"


def moment(when: datetime) -> str:
    """A date and time: ``2026-03-02 10:00 UTC``."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def listed(words: list[str], most: int = 6) -> str:
    """The first ``most`` words: ``a, b, c and 4 more``."""
    shown = ", ".join(words[:most])
    return shown if len(words) <= most else f"{shown} and {len(words) - most:,} more"


def range_text(values: Sequence[int]) -> str:
    """The range of values: ``20 to 40``, or ``20`` if all are equal."""
    low, high = f"{min(values):,}", f"{max(values):,}"
    return low if low == high else f"{low} to {high}"


def counted(n: int, word: str) -> str:
    """A number with a noun: ``1 run``, ``3 runs``."""
    return f"{n:,} {word}" if n == 1 else f"{n:,} {word}s"


def _exponent(value: float) -> int:
    return math.floor(math.log10(abs(value)))


def _three_digits(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"
