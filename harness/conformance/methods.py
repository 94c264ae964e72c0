"""Checks of whole methods: symmetry, samples in chunks, and a tiny run."""

from __future__ import annotations

import torch

from harness.conformance.check import Fault
from harness.conformance.subject import Subject, gap
from harness.training.seeds import generator
from harness.verification.equivariance import Equivariance, equivariance
from harness.verification.statistics import SIGNIFICANCE
from tasks.symmetry.groups import group

SAMPLES = (1, 4, 16)
ROUNDS = 24
LARGEST_SLOPE = -0.25
"""The largest exponent that passes for 1 / sqrt(k) with so few rounds; an error that does not fall has one near 0."""

CLOSE = 1e-8
CPU = torch.device("cpu")


def symmetry_fault(subject: Subject) -> Fault:
    """Checks that the method is equivariant under the task's group: exactly or in law."""
    x, output, names = subject.problem.inputs, subject.problem.task.signature.output, subject.problem.group
    g = group(names).random(x, 1, generator(CPU, 0, "conformance"))
    found = equivariance(subject.model(), x, g, output, SAMPLES, ROUNDS)
    if found.symmetry == "exact" or _falls(found):
        return None
    falls = " and does not fall as 1 / sqrt(k) without a bias" if len(found.errors) > 1 else ""
    return (
        f"{subject.method.name} is not equivariant under {' x '.join(names)}: the relative error is "
        f"{', '.join(f'{error:.0e}' for error in found.errors)} for k = {', '.join(map(str, found.samples))}{falls}"
    )


def _falls(found: Equivariance) -> bool:
    if found.slope is None or found.bias is None:
        return False
    return found.slope < LARGEST_SLOPE and found.bias >= SIGNIFICANCE


def chunk_fault(subject: Subject) -> Fault:
    """Checks that samples that are processed in chunks give the same as all at once, in evaluation and in training."""
    model, x = subject.model(), subject.problem.inputs
    for training in (False, True):
        model.train(training)
        noise = model.noise(x, 4, torch.Generator().manual_seed(0))
        values = []
        for chunk in (None, 1, 3):
            torch.manual_seed(0)  # of dropout
            values.append(model.from_noise(x, noise, 4, chunk).value.detach())
        if training and gap(values[0], model.from_noise(x, noise, 4).value.detach()) > 0:
            continue  # dropout
        if (error := max(gap(value, values[0]) for value in values[1:])) > CLOSE:
            return f"samples in chunks give another prediction than all samples at once: it differs by {error:.0e}"
    return None


def run_fault(subject: Subject) -> Fault:
    """Trains and tests the method for two steps, twice: the numbers should be the same."""
    first, second = subject.numbers(), subject.numbers()
    different = next((name for name in first if repr(first[name]) != repr(second[name])), None)
    if different:
        return f"two runs with the same seed have different numbers ({different}): draw all chance from the generator"
    return None
