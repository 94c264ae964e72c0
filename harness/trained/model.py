"""A trained model with the run that it is from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.model import Model
from harness import registry
from harness.errors import SettingsError
from harness.plugins.plugin import Card
from harness.records.record import Record
from harness.spec import RunSpec
from harness.training.context import RunContext
from harness.training.device import deterministic
from harness.training.evaluate import predict
from harness.training.examples import prepared
from harness.training.scoring import metrics_on_test_set
from harness.training.seeds import generator as new_generator
from tasks.cards import TaskCard
from tasks.ragged import RaggedGraphs
from tasks.symmetry.roles import structure_of
from tasks.symmetry.structure import Signature, Structure
from tasks.task import SupervisedTask

ROLES_OF = {
    "node_scalars": "node_features",
    "points": "positions",
    "vectors": "vectors",
    "edge_scalars": "adjacency and edge_features together",
}
"""The roles of the tensors that each kind of data in a structure is made of."""
EVALUATE = "symbench.evaluate"
"""In records and messages, the suite of runs from Python and the origin of cards that are given as objects."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedModel:
    """The model of a run that succeeded, with the weights that its record was scored with.

    Attributes:
        module: The model in evaluation mode. It maps a structure, a number of group samples and a generator to a
            :class:`~baselines.model.Prediction`.
        record: The record of the run.
        task: The card of its task.
        problem: The task itself, with its data: ``problem.data("test")``.
        context: The device and dtype of the model, and how many group samples are processed at a time.
        cards: The cards of the run that are not registered.
    """

    module: Model
    record: Record
    task: TaskCard
    problem: SupervisedTask
    context: RunContext
    cards: Sequence[Card] = ()

    @property
    def spec(self) -> RunSpec:
        """The run."""
        return self.record.spec

    def predict(
        self,
        inputs: Structure | RaggedGraphs | Mapping[str, Tensor],
        samples: int | None = None,
        *,
        seed: int = 0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Returns predictions ``[M, ...]`` on the device of the model, without gradients.

        Args:
            inputs: M structures, such as ``problem.data("test").inputs``; or tensors by role: ``node_features``
                ``[M, N, C]``, ``positions`` ``[M, N, D]``, ``vectors`` ``[M, N, D, V]``, ``adjacency`` ``[M, N, N]``,
                ``edge_features`` ``[M, N, N, E]`` and ``mask`` ``[M, N]`` (see :mod:`tasks.symmetry.roles`).
            samples: The number of group samples (``None``: the ``test_samples`` of the run's protocol).
            seed: The seed of the group samples.
            generator: The source of the group samples, on the device of the model, in place of ``seed``.

        Raises:
            SettingsError: The tensors are not those of the task.
        """
        structures = _checked(inputs, self.problem.signature) if isinstance(inputs, Mapping) else inputs
        protocol, context = self.spec.settings, self.context
        noise = generator or new_generator(context.device, seed, "predict")
        with deterministic(context.device):
            on_device = self.module.prepared(structures).to(context.device, context.dtype)
            return predict(
                self.module, on_device, samples or protocol.test_samples, protocol.batch_size, noise, context.chunk
            )

    def score(self) -> dict[str, float]:
        """Scores the model on the test set of its task, as its run did.

        Returns:
            The metrics by name. On the machine of the run they are those of the record.
        """
        spec, context = self.spec, self.context
        with deterministic(context.device), registry.temporarily(*self.cards, origin=EVALUATE):
            test = prepared(self.problem, "test", spec.settings.test_size, self.module, context)
            return metrics_on_test_set(spec, self.problem, self.module, test, context.chunk, "the kept weights")


def _checked(inputs: Mapping[str, Tensor], signature: Signature) -> Structure:
    """The structures of these tensors. Raises :class:`SettingsError` if they are not what the model takes."""
    x = structure_of(inputs)
    for name, roles in ROLES_OF.items():
        wanted, found = getattr(signature, name), getattr(x, name).shape[-1]
        if wanted != found:
            raise SettingsError(f"The model takes {wanted} channels of {roles}, and there are {found}.")
    return x
