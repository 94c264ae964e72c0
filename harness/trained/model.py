"""A trained model with the run that it is from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.model import Model
from harness.errors import SettingsError
from harness.records.record import Record
from harness.spec import RunSpec
from harness.training.context import RunContext
from harness.training.device import deterministic
from harness.training.evaluate import predict
from harness.training.examples import CHANNELS, prepared
from harness.training.scoring import metrics_on_test_set
from harness.training.seeds import generator as new_generator
from harness.utils.text import nearest
from tasks.cards import TaskCard
from tasks.ragged import RaggedGraphs
from tasks.symmetry.structure import Signature, Structure
from tasks.task import SupervisedTask


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
    """

    module: Model
    record: Record
    task: TaskCard
    problem: SupervisedTask
    context: RunContext

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
            inputs: M structures, such as ``problem.data("test").inputs``; or tensors by name: ``node_scalars``
                ``[M, N, C]``, ``points`` ``[M, N, D, P]``, ``vectors`` ``[M, N, D, V]``, ``edge_scalars``
                ``[M, N, N, E]``, and ``mask`` ``[M, N]`` (bool; by default all nodes exist).
            samples: The number of group samples (``None``: the ``test_samples`` of the run's protocol).
            seed: The seed of the group samples.
            generator: The source of the group samples, on the device of the model, in place of ``seed``.

        Raises:
            SettingsError: The tensors are not those of the task.
        """
        structures = structure_of(inputs, self.problem.signature) if isinstance(inputs, Mapping) else inputs
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
        with deterministic(context.device):
            test = prepared(self.problem, "test", spec.settings.test_size, self.module, context)
            return metrics_on_test_set(spec, self.problem, self.module, test, context.chunk, "the kept weights")


def structure_of(tensors: Mapping[str, Tensor], signature: Signature) -> Structure:
    """Builds a structure from tensors by name.

    Args:
        tensors: As for :meth:`TrainedModel.predict`.
        signature: The shapes that the model takes.

    Raises:
        SettingsError: A name is unknown, or a tensor is missing or has another number of channels.
    """
    known = (*CHANNELS, "mask")
    if unknown := sorted(set(tensors) - set(known)):
        raise SettingsError(f"There is no input '{unknown[0]}': {nearest(unknown[0], known)}")
    for name in CHANNELS:
        wanted, found = getattr(signature, name), tensors[name].shape[-1] if name in tensors else 0
        if wanted != found:
            raise SettingsError(f"The model takes {name} with {wanted} channels, not {found}.")
    given = {name: tensors[name] for name in CHANNELS if name in tensors}
    first = next(iter(given.values()))
    mask = tensors.get("mask", torch.ones(first.shape[:2], dtype=torch.bool, device=first.device))
    return Structure.build(mask, **given)
