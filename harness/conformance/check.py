"""One property of a card, which pytest lists as a test of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from harness.errors import ConformanceError, SymbenchError
from harness.plugins.card_functions import error_summary

Fault = str | None
"""What is wrong as one clause; None if nothing is."""


@dataclass(frozen=True)
class Check:
    """One property of a card. A call does nothing if the card has it.

    Attributes:
        card: The name of the card.
        name: The property, and the problem that it is checked on.
        fault: Returns what is wrong, as one clause, or None.

    Raises:
        ConformanceError: The card does not have the property; the message is one sentence.
    """

    card: str
    name: str
    fault: Callable[[], Fault] = field(repr=False)

    def __call__(self) -> None:
        try:
            found = self.fault()
        except SymbenchError as error:
            raise ConformanceError(f"{self.card}, {self.name}: {error}") from error
        except Exception as error:  # the code of a plug-in may raise any error
            raise ConformanceError(f"{self.card}, {self.name}: it raises {error_summary(error)}.") from error
        if found:
            raise ConformanceError(f"{self.card}, {self.name}: {found}.")

    def __str__(self) -> str:
        return self.name


def run_all(checks: Iterable[Check]) -> None:
    """Runs the checks in order. Raises the :class:`ConformanceError` of the first that fails."""
    for check in checks:
        check()
