"""The data of a task made of PyG data: read once, when it is first used."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from tasks.cards import Input
from tasks.errors import DataError, SettingsError
from tasks.pyg.reading import Graphs, inputs_of, stored
from tasks.pyg.scores import Kind, Score
from tasks.pyg.splits import DataSettings, SplitDataSettings, check_names, drawn, given, settings_class, wrong_fractions
from tasks.pyg.targets import Level, Targets, level_of, targets_of
from tasks.ragged import RaggedStructures, Segments
from tasks.sources.splits import SPLITS
from tasks.symmetry.names import space_of

LOOKED_AT = 100  # graphs from which the level of targets is found


@dataclass(frozen=True)
class Chosen:
    """The arguments of :func:`tasks.pyg.card.from_pyg` that decide what the data are."""

    name: str
    target: str | Callable[[Any], Any]
    group: tuple[str, ...]
    kind: Kind
    score: Score
    loss: Callable[[Tensor, Tensor], Tensor] | None
    standardize: bool
    vectors: str | None

    @property
    def target_name(self) -> str:
        """What messages call a target."""
        return self.target if isinstance(self.target, str) else "a target"

    @property
    def dimension(self) -> int | None:
        """The dimension of the space that the group acts on; None if it only permutes nodes."""
        return next((space_of(factor) for factor in self.group if space_of(factor)), None)

    def targets(self, graphs: Graphs) -> list[Tensor]:
        """The target of each graph.

        Raises:
            DataError: A graph has none.
        """
        found = graphs.values(self.target_name, None if isinstance(self.target, str) else self.target)
        if found is None:
            raise DataError(f"{graphs.called(0)} has no {self.target_name}: name the attribute with target=.")
        return found


class OwnData:
    """Graphs and targets of one data set.

    Args:
        dataset: As in :func:`~tasks.pyg.card.from_pyg`; it is read when a property is first used.
        chosen: The arguments that decide what the data are.
        splits: Fractions, index lists or data sets by split.
        inputs: The inputs to read; None for all that the first graph has.
        level: What targets belong to; None to find out.
    """

    def __init__(
        self,
        dataset: Any,
        chosen: Chosen,
        splits: Mapping[str, Any],
        inputs: frozenset[Input] | None,
        level: Level | None,
    ) -> None:
        check_names(splits)
        self._dataset, self.chosen, self._splits = dataset, chosen, splits
        self._inputs, self._level = inputs, level
        self._fractions = all(isinstance(part, int | float) for part in splits.values())
        self.settings = settings_class(splits) if self._fractions else DataSettings

    @cached_property
    def graphs(self) -> Graphs:
        """The graphs as they are given."""
        if self._dataset is not None:
            return Graphs.of({"": self._dataset})
        return Graphs.of({f" of the {split} split": self._splits[split] for split in SPLITS})

    @cached_property
    def inputs(self) -> frozenset[Input]:
        """The inputs of models."""
        return self._inputs or inputs_of(self.graphs.items[0], self.chosen.vectors)

    @cached_property
    def level(self) -> Level:
        """What targets belong to.

        Raises:
            SettingsError: Several levels are possible, or none is.
        """
        if self._level:
            return self._level
        few = Graphs(self.graphs.items[:LOOKED_AT], self.graphs.sizes)
        shapes = [list(value.shape) for value in self.chosen.targets(few)]
        space = self.chosen.dimension if "points" in self.inputs else None
        return level_of(zip(shapes, few.counts.tolist(), strict=True), space)

    @cached_property
    def _stored(self) -> tuple[RaggedStructures, Targets, list[int]]:
        """Structures, targets and the sizes of the parts of the data set."""
        graphs, chosen, dimension = self.graphs, self.chosen, self.chosen.dimension
        found = stored(graphs, self.inputs, chosen.vectors)
        if dimension not in (None, found.points.shape[1]):
            where = f"acts on R^{dimension}, and points and vectors are in R^{found.points.shape[1]}"
            raise SettingsError(f"The group {' x '.join(chosen.group)} of '{chosen.name}' {where}.")
        targets = targets_of(graphs, found, chosen.targets(graphs), chosen.target_name, self.level, chosen.kind)
        del self.graphs  # objects of PyG take several times as much memory as what is stored
        return found, targets, list(graphs.sizes.values())

    @property
    def structures(self) -> RaggedStructures:
        """All graphs."""
        return self._stored[0]

    @property
    def targets(self) -> Targets:
        """The targets of all graphs."""
        return self._stored[1]

    @cached_property
    def digest(self) -> str:
        """A digest of graphs, targets, given splits and options."""
        options = (self.level, self.chosen.kind, self.chosen.score.name, self.chosen.standardize, sorted(self.inputs))
        found = hashlib.sha256(repr(options).encode())
        values: list[Any] = [getattr(self.structures, item.name) for item in fields(self.structures)]
        for value in [*values, self.targets.values, *(self.given or {}).values()]:
            parts = (value.start, value.count) if isinstance(value, Segments) else (value,)
            for part in parts:
                found.update(f"{getattr(part, 'shape', part)} {getattr(part, 'dtype', '')};".encode())
                if isinstance(part, Tensor):
                    found.update(part.contiguous().numpy().data)
        return found.hexdigest()[:16]

    @cached_property
    def given(self) -> dict[str, Tensor] | None:
        """Given splits as indices; None if they are drawn."""
        if self._dataset is None:
            return dict(zip(SPLITS, torch.arange(len(self.structures)).split(self._stored[2]), strict=True))
        return None if self._fractions else given(self._splits, len(self.structures))

    def indices(self, settings: DataSettings) -> dict[str, Tensor]:
        """The indices of the graphs of each split."""
        return self.given or drawn(settings, len(self.structures))

    def check(self, settings: DataSettings) -> str | None:
        """Returns why a run with these settings cannot be computed, as a clause, or None if it can."""
        if settings.data not in (None, self.digest):
            return f"the data have the digest {self.digest}, not {settings.data}: they have changed since"
        if isinstance(settings, SplitDataSettings):
            return wrong_fractions(settings, len(self.structures))
        return None
