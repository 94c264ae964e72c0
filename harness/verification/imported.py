"""Functions and modules by the name ``package.module:name``, tested on random inputs."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import SettingsError, SymbenchError
from harness.symmetrize import parsed_group
from harness.training.seeds import derive, generator
from harness.verification.functions import equivariance_error
from harness.verification.verdicts import Verdict
from tasks.symmetry.names import space_of
from tasks.symmetry.roles import INPUTS, check_role

BATCH = 8
DIMENSION = 3
CPU = torch.device("cpu")


def function_verdict(
    target: str,
    group: str,
    inputs: str,
    output: str,
    *,
    nodes: int,
    dimension: int | None = None,
    samples: Sequence[int],
    precision: torch.dtype = torch.float64,
) -> Verdict:
    """Tests whether a function or module is equivariant on normally distributed inputs.

    Args:
        target: ``package.module:name``, of the current folder too. A class is built without arguments. Modules are
            tested in evaluation mode.
        group: The symmetry, such as ``S_n x O(3)``.
        inputs: The roles of the arguments with their channels, such as ``positions,node_features:4``.
        output: The role of the output.
        nodes: N.
        dimension: D; by default that of the space that the group acts on, or 3.
        samples: The numbers k of calls of a random function.
        precision: The dtype of inputs and weights.

    Raises:
        SettingsError: There is no such function, or it does not run with these inputs.
        UnknownName: There is no such group.
    """
    space = max(map(space_of, parsed_group(group)))
    tensors = random_inputs(inputs, nodes, dimension or space or DIMENSION, precision)
    with _importable_from_here():
        function = imported(target)
        if isinstance(function, nn.Module):
            function = function.to(precision).eval()
        shapes = ", ".join(f"{role} {list(values.shape)}" for role, values in tensors.items())
        with _one_sentence(f"{target} does not run with {shapes}"):
            found = equivariance_error(function, group, tensors, output, samples=samples)
    numbers = {} if math.isinf(found.errors[-1]) else asdict(found) | {"verdict": found.verdict}
    return Verdict("equivariance", found.verdict != "none", f"{found}.", numbers)


def random_inputs(text: str, nodes: int, dimension: int, dtype: torch.dtype) -> dict[str, Tensor]:
    """Returns random tensors by role.

    Args:
        text: Roles with commas between them, such as ``positions,node_features:4``. The number is that of channels, for
            which there is no axis if it is left out: node features then are ``[B, N]``.
        nodes: N.
        dimension: D.
        dtype: Their dtype.

    Raises:
        SettingsError: There is no such role, or a number is not one.
    """
    noise = generator(CPU, 0, "inputs")
    found: dict[str, Tensor] = {}
    for entry in text.split(","):
        role, colon, channels = (part.strip() for part in entry.partition(":"))
        check_role(role, INPUTS, "input")
        if colon and not (channels.isdecimal() and int(channels) > 0):
            raise SettingsError(f"--inputs {entry.strip()}: write a role, a colon and a number, as in node_features:4.")
        if colon and role in ("adjacency", "mask"):
            raise SettingsError(f"--inputs {entry.strip()}: the input '{role}' has no channels.")
        if role in found:
            raise SettingsError(f"--inputs names {role} twice: take a function with one such argument.")
        last = (int(channels),) if colon else ()
        found[role] = _random(role, nodes, dimension, last, noise).to(torch.bool if role == "mask" else dtype)
    return found


def _random(role: str, nodes: int, dimension: int, last: tuple[int, ...], noise: torch.Generator) -> Tensor:
    if role == "mask":  # graphs of all sizes from half of the nodes on
        counts = torch.randint((nodes + 1) // 2, nodes + 1, (BATCH, 1), generator=noise)
        return torch.arange(nodes) < counts
    if role == "adjacency":
        edges = (torch.rand(BATCH, nodes, nodes, generator=noise) < 0.5).triu(1)
        return edges | edges.mT
    axes = {"node_features": (), "edge_features": (nodes,)}.get(role, (dimension,))
    return torch.randn(BATCH, nodes, *axes, *last, generator=noise, dtype=torch.float64)


def imported(target: str) -> Callable[..., Any]:
    """Returns the function, the module or an instance of the class with this name.

    Args:
        target: ``package.module:name``, or ``package.module:name.attribute``.

    Raises:
        SettingsError: It cannot be imported, is not callable, or is a class that needs arguments.
    """
    module, _, name = target.partition(":")
    if not all(part.isidentifier() for part in [*module.split("."), *name.split(".")]):
        raise SettingsError(f"'{target}' names no function: write package.module:name.")
    with _one_sentence(f"{module} cannot be imported"):
        found: Any = import_module(module)
    try:
        found = reduce(getattr, name.split("."), found)
    except AttributeError:
        raise SettingsError(f"The module {module} has no '{name}'.") from None
    if not callable(found):
        raise SettingsError(f"{target} is {type(found).__name__}, which is no function, module or class.")
    if isinstance(found, type):
        if missing := _required(found):
            raise SettingsError(
                f"{target} needs {', '.join(missing)}: write a line such as 'net = {name}(...)' in {module} and name "
                f"{module}:net."
            )
        torch.manual_seed(derive(0, "initialisation"))
        with _one_sentence(f"{target} cannot be built"):
            found = found()
        if not callable(found):
            raise SettingsError(f"{target} cannot be called: it has no __call__ or forward.")
    return found


def _required(found: type) -> list[str]:
    """The arguments without a default that a class is built with."""
    try:
        parameters: Mapping[str, inspect.Parameter] = inspect.signature(found).parameters
    except ValueError:  # a class that is written in C
        return []
    many = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [name for name, one in parameters.items() if one.default is one.empty and one.kind not in many]


@contextmanager
def _importable_from_here() -> Iterator[None]:
    """Puts the current folder first among those that modules are imported from."""
    before = list(sys.path)
    sys.path.insert(0, str(Path.cwd()))
    try:
        yield
    finally:
        sys.path[:] = before


@contextmanager
def _one_sentence(what: str) -> Iterator[None]:
    """Turns whatever other people's code raises into a :class:`SettingsError` that begins with ``what``."""
    try:
        yield
    except SymbenchError:
        raise
    except (Exception, SystemExit) as error:
        why = " ".join(str(error).split()).rstrip(".")
        raise SettingsError(f"{what}: {type(error).__name__}{f': {why}' if why else ''}.") from error
