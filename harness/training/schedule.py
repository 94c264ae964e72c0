"""How long a protocol trains, how fast it learns at each step, and when it looks at the validation set."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.protocol import Protocol


@dataclass(frozen=True)
class Budget:
    """The steps of ``protocol`` on a training set of ``examples``.

    Raises ``ValueError`` where ``drop_last`` leaves no batch.
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
        whole, rest = divmod(self.examples, self.protocol.batch_size)
        return whole if self.protocol.drop_last or not rest else whole + 1

    @property
    def steps(self) -> int:
        """Steps of the whole budget; the last epoch ends where it does."""
        steps = self.protocol.epochs * self.steps_per_epoch
        return steps if self.protocol.max_steps is None else min(steps, self.protocol.max_steps)

    def steps_before(self, epoch: int) -> int:
        """Steps behind a run at the beginning of an epoch."""
        return min(epoch * self.steps_per_epoch, self.steps)

    def steps_in(self, epoch: int) -> int:
        return self.steps_before(epoch + 1) - self.steps_before(epoch)

    def validates(self, epoch: int) -> bool:
        """Whether the validation set is looked at after an epoch: every so many, and after the last."""
        last = self.steps_before(epoch + 1) >= self.steps
        return last or (epoch + 1) % self.protocol.validate_every == 0

    @property
    def warmup(self) -> int:
        """Steps of warm-up."""
        return self.protocol.warmup_epochs * self.steps_per_epoch + self.protocol.warmup_steps

    def learning_rate_factor(self, step: int) -> float:
        """The share of the peak at a step, from 0: s / w in warm-up, so that the first step moves nothing.

        ``linear`` is that of the paper's vision tasks, to the letter: the step w still has the factor of the one
        before it, and from there it falls in a line that would reach 0 one step after the budget.
        """
        warmup = self.warmup
        if step < warmup:
            return step / warmup
        if self.protocol.schedule == "constant":
            return 1.0
        if step == warmup and warmup:
            return (warmup - 1) / warmup
        return 1 - (step - warmup) / (self.steps + 1 - warmup)
