"""Plug-in files: what stands in them, and a process that forgets them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.distributions import forget

NETWORK = '''
"""A network that is equivariant by construction, with its code."""

from dataclasses import replace

from baselines.cards import MethodCard
from baselines.catalogue import EGNN
from baselines.equivariant.egnn import EGNN as Network


class Mine(Network):
    """What the card names."""


CARD = MethodCard(base=replace(EGNN, name="mine", title="Mine", implementation="my_net:Mine"))
'''
TASK = """
from dataclasses import replace
from tasks.catalogue import NBODY
CARD = replace(NBODY, name="my_bodies")
"""


def write(folder: Path, name: str = "my_net.py", text: str = NETWORK) -> Path:
    """Writes a plug-in file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text)
    return path


@contextmanager
def forgotten() -> Iterator[None]:
    """Plug-in files that are registered inside are unknown before and afterwards."""
    forget()
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.startswith("plugin_file_")]:
            del sys.modules[name]
        forget()
