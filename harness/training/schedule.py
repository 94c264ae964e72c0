"""The steps, learning rates and validations of a protocol."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.protocol import Protocol


@dataclass(frozen=True)
class Budget:
    """The steps of ``protocol`` on a training set of ``examples``.

    Raises:
        ValueError: ``drop_last`` leaves no batch.
    """

    protocol: Protocol
    examples: int

    def __post_init__(self) -> None:
        if self.protocol.drop_last and self.examples < self.protocol.batch_size:
            raise ValueError(
                f"drop_last leaves no batch: {self.examples} training examples make none of "
                f"{self.protocol.batch_size}; lower settings.batch_size or set settings.drop_last to false"
            )

    @property
    def steps_per_epoch(self) -> int:
        """Steps of a complete epoch."""
        whole, rest = divmod(self.examples, self.protocol.batch_size)
        return whole if self.protocol.drop_last or not rest else whole + 1

    @property
    def steps(self) -> int:
        """Steps of the whole budget, which may end within the last epoch."""
        steps = self.protocol.epochs * self.steps_per_epoch
        return steps if self.protocol.max_steps is None else min(steps, self.protocol.max_steps)

    def steps_before(self, epoch: int) -> int:
        """Returns the number of steps before an epoch."""
        return min(epoch * self.steps_per_epoch, self.steps)

    def steps_in(self, epoch: int) -> int:
        """Returns the number of steps in an epoch."""
        return self.steps_before(epoch + 1) - self.steps_before(epoch)

    def validates(self, epoch: int) -> bool:
        """Whether the model is validated after an epoch: every ``validate_every`` epochs and after the last."""
        last = self.steps_before(epoch + 1) >= self.steps
        return last or (epoch + 1) % self.protocol.validate_every == 0

    @property
    def warmup(self) -> int:
        """Steps of warm-up."""
        return self.protocol.warmup_epochs * self.steps_per_epoch + self.protocol.warmup_steps

    def learning_rate_factor(self, step: int) -> float:
        """Returns the learning rate at a step, counted from 0, as a share of the protocol's ``lr``.

        It is s / w at step s of w steps of warm-up, so that the first step changes no weight. The schedule ``linear``
        is exactly that of the paper's vision tasks: step w has the factor of the step before it, and from there the
        factor falls linearly and would be 0 one step after the budget.
        """
        warmup = self.warmup
        if step < warmup:
            return step / warmup
        if self.protocol.schedule == "constant":
            return 1.0
        if step == warmup and warmup:
            return (warmup - 1) / warmup
        return 1 - (step - warmup) / (self.steps + 1 - warmup)
