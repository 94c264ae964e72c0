"""Which runs fit on the nodes of a cluster (no Ray)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from harness.spec import Resources

# Ray counts resources in ten-thousandths.
_TOLERANCE = 1e-4


@dataclass(frozen=True, order=True)
class Shape:
    """The resources of each process of a worker, or of a node. ``memory`` is in bytes."""

    gpus: float
    cpus: float
    memory: float = 0.0
    processes: int = 1

    @staticmethod
    def of(resources: Resources) -> Shape:
        """Returns the shape of a worker with these resources."""
        return Shape(resources.gpus, resources.cpus, float(resources.memory or 0), resources.workers)

    def each(self) -> list[Shape]:
        """Returns one shape for each process, since they need not be on one node."""
        return [replace(self, processes=1)] * self.processes

    def holds(self, other: Shape) -> bool:
        """Whether ``other`` fits, up to rounding."""
        processors = self.gpus + _TOLERANCE >= other.gpus and self.cpus + _TOLERANCE >= other.cpus
        return processors and self.memory + 1 >= other.memory

    def less(self, other: Shape) -> Shape:
        """Returns what is left without ``other``."""
        return Shape(self.gpus - other.gpus, self.cpus - other.cpus, self.memory - other.memory)

    def __str__(self) -> str:
        memory = f" and {self.memory / 1024**3:.3g} GiB of memory" if self.memory else ""
        times = f"{self.processes} times " if self.processes > 1 else ""
        return f"{times}{_count(self.cpus, 'CPU')}, {_count(self.gpus, 'GPU')}{memory}"


def fits(shapes: Iterable[Shape], nodes: Sequence[Shape]) -> bool:
    """Whether all shapes fit on the nodes together, placed largest first on the first node with room."""
    free = list(nodes)
    for one in sorted((process for shape in shapes for process in shape.each()), reverse=True):
        place = next((index for index, node in enumerate(free) if node.holds(one)), None)
        if place is None:
            return False
        free[place] = free[place].less(one)
    return True


def misfit(shape: Shape, nodes: Sequence[Shape]) -> str | None:
    """Returns why the shape can never fit, in one sentence; None if it can."""
    if shape.gpus > 1:
        return f"A run asks for {shape.gpus:g} GPUs for each process, which uses one: ask for at most 1."
    if fits([shape], nodes):
        return None
    largest = f"the largest has {max(nodes)}" if nodes else "there is none"
    return f"No node has what a run asks for ({shape}; {largest}): change the suite's resources or the cluster."


def most_at_once(nodes: Sequence[Shape], slots: int | None) -> int:
    """Returns the largest number of workers: one for each CPU, at most ``slots``."""
    cpus = max(1, int(sum(node.cpus for node in nodes)))
    return cpus if slots is None else min(cpus, max(1, slots))


def _count(number: float, unit: str) -> str:
    return f"{number:g} {unit}" if number == 1 else f"{number:g} {unit}s"
