"""Charged particles in three dimensions: the n-body benchmark, regenerated.

The simulator is that of Kipf et al. 2018 with the charges of Fuchs et al. 2020 and the sizes and seed of Satorras et
al. 2021. NumPy's legacy generator reproduces the published draws; the integration runs many trajectories at once in
float64.

The motion is chaotic. Any float64 implementation reproduces half of the trajectories to 1e-13, but about one in twenty
has a close encounter that amplifies rounding errors beyond 1e-6 at frame 30, and one in thirty beyond 1e-2. For these,
any two implementations differ from each other as much as from a run in extended precision.

Units are the simulator's own: unit mass, unit interaction strength, time step 0.001.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks.sources import cache

GENERATOR_VERSION = 1
PUBLISHED_SIZES = {"train": 10_000, "validation": 2_000, "test": 2_000}
MAX_NODES = 100
TIME_STEP = 0.001
STEPS_PER_FRAME = 100
INPUT_FRAME, TARGET_FRAME = 30, 40

_BOX = 5.0  # positions are reflected into [-_BOX, _BOX] at the start
_SPEED = 0.5
_MAX_FORCE = 0.1 / TIME_STEP
_PUBLISHED_FRAMES = 49
_CHUNK_ROWS = 7_680  # particles integrated together: the working arrays fit the second-level cache

Float = NDArray[np.float64]


class Start(NamedTuple):
    """Initial conditions of T trajectories of n particles.

    Attributes:
        position: float64 [T, n, 3].
        velocity: float64 [T, n, 3].
        charge: -1 or +1, int8 [T, n].
    """

    position: Float
    velocity: Float
    charge: NDArray[np.int8]


class Frames(NamedTuple):
    """Recorded motion: frame f is the state after 100 (f + 1) steps.

    Attributes:
        position: float64 [frames, T, n, 3].
        velocity: Velocities in the step that led to the position, half a time step earlier; float64 [frames, T, n, 3].
    """

    position: Float
    velocity: Float


class Trajectories(NamedTuple):
    """One split of the benchmark: predict `target` from the rest.

    Attributes:
        position: Positions at frame 30, float64 [T, n, 3].
        velocity: Velocities at frame 30, float64 [T, n, 3].
        charge: -1 or +1, int8 [T, n].
        target: Positions at frame 40, float64 [T, n, 3].
    """

    position: Float
    velocity: Float
    charge: NDArray[np.int8]
    target: Float


def trajectories(
    nodes: int = 5, train: int = 3_000, validation: int = 2_000, test: int = 2_000, seed: int = 43
) -> dict[str, Trajectories]:
    """The splits `train`, `validation` and `test` of the n-body benchmark, kept in the cache.

    The defaults are the published set as experiments use it. A smaller split is a prefix of the published one, since
    the random numbers of all published trajectories are drawn.

    Args:
        nodes: Number of particles, 2 to 100; the density is that of five.
        train: Number of trajectories, at most 10,000.
        validation: At most 2,000.
        test: At most 2,000.
        seed: The seed of NumPy's legacy generator.

    Raises:
        ValueError: A size is out of range.
        DataError: The cached file is damaged, or the cache cannot be used.
    """
    sizes = {"train": train, "validation": validation, "test": test}
    _check(nodes, sizes)
    fields = [f"{split}_{field}" for split in sizes for field in Trajectories._fields]
    name = cache.versioned_name("nbody", GENERATOR_VERSION, nodes=nodes, **sizes, seed=seed)
    stored = cache.arrays(name, fields, lambda: _generate(nodes, sizes, seed))
    return {split: Trajectories(*(stored[f"{split}_{field}"] for field in Trajectories._fields)) for split in sizes}


def draws(nodes: int = 5, sizes: Mapping[str, int] = PUBLISHED_SIZES, seed: int = 43) -> dict[str, Start]:
    """Draws the initial conditions of every split in the published order.

    All 14,000 published trajectories are drawn, training first, then validation, then test; the first `sizes[split]` of
    each split are returned.

    Raises:
        ValueError: A size is out of range.
    """
    _check(nodes, sizes)
    random = np.random.RandomState(seed)
    starts = {}
    for split, published in PUBLISHED_SIZES.items():
        position = np.empty((sizes[split], nodes, 3))
        velocity = np.empty_like(position)
        charge = np.empty((sizes[split], nodes), dtype=np.int8)
        for index in range(published):
            drawn = _draw(random, nodes)
            if index < sizes[split]:
                position[index], velocity[index], charge[index] = drawn
        starts[split] = Start(*_reflect(position, velocity), charge)
    return starts


def simulate(
    positions: ArrayLike,
    velocities: ArrayLike,
    charges: ArrayLike,
    steps: int = 4_100,
    frames: Sequence[int] | None = None,
) -> Frames:
    """Simulates T systems of n charged particles for `steps` time steps of 0.001.

    The force on particle i is the sum over j of q_i q_j (x_i - x_j) / |x_i - x_j|^3, each component clipped to +-100.
    The integration starts with a kick of the velocities by a full step. Then every step drifts, records if its number
    is a multiple of 100, and kicks.

    Args:
        positions: [T, n, 3].
        velocities: [T, n, 3].
        charges: [T, n].
        steps: Number of time steps.
        frames: The frames to return; by default all, 0 .. steps // 100 - 1.

    Raises:
        ValueError: The shapes do not match, or a frame is beyond `steps`.
    """
    position, velocity, charge = (np.asarray(array, dtype=np.float64) for array in (positions, velocities, charges))
    if (
        position.ndim != 3
        or position.shape[2] != 3
        or velocity.shape != position.shape
        or charge.shape != position.shape[:2]
    ):
        raise ValueError(
            f"positions and velocities must be [T, n, 3] and charges [T, n], "
            f"not {position.shape}, {velocity.shape} and {charge.shape}"
        )
    kept = list(range(steps // STEPS_PER_FRAME)) if frames is None else list(frames)
    if any(not 0 <= frame < steps // STEPS_PER_FRAME for frame in kept):
        raise ValueError(f"{steps} steps hold the frames 0 to {steps // STEPS_PER_FRAME - 1}, not all of {kept}")
    size, nodes, _ = position.shape
    recorded = Frames(np.empty((len(kept), *position.shape)), np.empty((len(kept), *position.shape)))
    chunk = max(1, _CHUNK_ROWS // max(nodes, 1))
    for start in range(0, size, chunk):
        part = slice(start, start + chunk)
        for frame, x, v in _integrate(position[part], velocity[part], charge[part], steps):
            for place in (place for place, wanted in enumerate(kept) if wanted == frame):
                recorded.position[place, part], recorded.velocity[place, part] = x, v
    return recorded


def energy_drift(frames: Frames, charges: ArrayLike) -> Float:
    """The relative error of the energy of each trajectory, a diagnostic of the integration.

    It is the change of the total energy from the first to the last frame, divided by the kinetic energy plus the
    magnitudes of all pair energies at the first frame (the total may be zero). Velocities are first moved to the time
    of the positions by half a kick. A close encounter of opposite charges, where the force is clipped, does not
    conserve energy.

    Args:
        frames: At least two frames of T trajectories.
        charges: [T, n].

    Returns:
        Non-negative errors, float64 [T].
    """
    charge = np.asarray(charges, dtype=np.float64)
    first, last = (_energies(frames.position[f], frames.velocity[f], charge) for f in (0, -1))
    scale = first[0] + np.abs(first[1]).sum(axis=-1)
    drift: Float = np.abs(last[0] + last[1].sum(axis=-1) - first[0] - first[1].sum(axis=-1)) / scale
    return drift


def _check(nodes: int, sizes: Mapping[str, int]) -> None:
    if not 2 <= nodes <= MAX_NODES:
        raise ValueError(f"nodes must be in 2..{MAX_NODES}, not {nodes}")
    for split, published in PUBLISHED_SIZES.items():
        if not 0 <= sizes[split] <= published:
            raise ValueError(f"{split} must be in 0..{published}, the size of the published split, not {sizes[split]}")


def _generate(nodes: int, sizes: Mapping[str, int], seed: int) -> cache.Arrays:
    stored: cache.Arrays = {}
    for split, start in draws(nodes, sizes, seed).items():
        recorded = simulate(*start, steps=(TARGET_FRAME + 1) * STEPS_PER_FRAME, frames=[INPUT_FRAME, TARGET_FRAME])
        made = Trajectories(recorded.position[0], recorded.velocity[0], start.charge, recorded.position[1])
        stored |= {f"{split}_{field}": array for field, array in made._asdict().items()}
    return stored


def _draw(random: np.random.RandomState, nodes: int) -> tuple[Float, Float, Float]:
    """Position [n, 3], velocity [n, 3] and charge [n] of one trajectory, in the published order of draws."""
    charge = random.choice([-1.0, 0.0, 1.0], size=(nodes, 1), p=[0.5, 0.0, 0.5])
    position = random.randn(3, nodes) * (nodes / 5) ** (1 / 3)
    velocity = random.randn(3, nodes)
    random.randn(2, _PUBLISHED_FRAMES, 3, nodes)  # observation noise: of scale zero in this benchmark, but drawn
    velocity *= _SPEED / np.sqrt((velocity**2).sum(axis=0))
    return position.T, velocity.T, charge[:, 0]


def _reflect(position: Float, velocity: Float) -> tuple[Float, Float]:
    """Reflects particles that start outside the box into it, and makes them move inwards."""
    outside = np.abs(position) > _BOX
    side = np.sign(position)
    return np.where(outside, 2 * _BOX * side - position, position), np.where(
        outside, -side * np.abs(velocity), velocity
    )


def _integrate(position: Float, velocity: Float, charge: Float, steps: int) -> Iterator[tuple[int, Float, Float]]:
    """Yields (frame, position [t, n, 3], velocity [t, n, 3]); the arrays are overwritten by the next frame."""
    forces = _Forces(charge)
    x = forces.position
    x[:] = position.transpose(2, 1, 0)
    v = np.ascontiguousarray(velocity.transpose(2, 1, 0))
    moved = np.empty_like(v)
    v += forces.kick()
    for step in range(1, steps + 1):
        np.multiply(v, TIME_STEP, out=moved)
        x += moved
        if step % STEPS_PER_FRAME == 0:
            yield step // STEPS_PER_FRAME - 1, x.transpose(2, 1, 0), v.transpose(2, 1, 0)
        v += forces.kick()


class _Forces:
    """Forces among the particles of t systems, with every array allocated once.

    Arrays are [3, n, t], with systems last, so that each operation is on contiguous memory. Every pair is computed
    once, as particles i and i + d (modulo n) for d = 1 .. n // 2. Rows n .. n + n // 2 repeat the first ones, so that
    i + d needs no modulo.
    """

    def __init__(self, charge: Float) -> None:
        size = charge.shape[0]
        self.nodes: int = charge.shape[1]
        self.half = self.nodes // 2
        self._wrapped = np.empty((3, self.nodes + self.half, size))
        self._force = np.empty_like(self._wrapped)
        self._difference = np.empty((3, self.nodes, size))
        self._square = np.empty_like(self._difference)
        self._distance = np.empty((self.nodes, size))
        wrapped = np.concatenate([charge.T, charge.T[: self.half]])
        self._products = [wrapped[: self._rows(d)] * wrapped[d : d + self._rows(d)] for d in range(1, self.half + 1)]

    @property
    def position(self) -> Float:
        """The array for the positions, [3, n, t], which the caller writes."""
        return self._wrapped[:, : self.nodes]

    def kick(self) -> Float:
        """The change of the velocities in one time step, [3, n, t]; valid until the next call."""
        self._wrapped[:, self.nodes :] = self._wrapped[:, : self.half]
        self._force.fill(0.0)
        for d in range(1, self.half + 1):
            self._add_pairs(d)
        force = self._force[:, : self.nodes]
        force[:, : self.half] += self._force[:, self.nodes :]
        np.minimum(force, _MAX_FORCE, out=force)
        np.maximum(force, -_MAX_FORCE, out=force)
        force *= TIME_STEP
        return force

    def _add_pairs(self, d: int) -> None:
        rows = self._rows(d)
        pair, square, distance = self._difference[:, :rows], self._square[:, :rows], self._distance[:rows]
        np.subtract(self._wrapped[:, :rows], self._wrapped[:, d : d + rows], out=pair)
        np.multiply(pair, pair, out=square)
        square[0] += square[1]
        square[0] += square[2]
        np.sqrt(square[0], out=distance)
        distance *= square[0]
        np.divide(self._products[d - 1], distance, out=distance)
        pair *= distance
        self._force[:, :rows] += pair
        self._force[:, d : d + rows] -= pair

    def _rows(self, d: int) -> int:
        """The number of pairs at distance d: half as many if i + d and i - d are the same particle."""
        return self.half if 2 * d == self.nodes else self.nodes


def _energies(position: Float, velocity: Float, charge: Float) -> tuple[Float, Float]:
    """Kinetic energy [T] and the energies of all pairs [T, pairs]."""
    forces = _Forces(charge)
    forces.position[:] = position.transpose(2, 1, 0)
    level = velocity + forces.kick().transpose(2, 1, 0) / 2
    first, second = np.triu_indices(charge.shape[1], k=1)
    distance = np.sqrt(((position[:, first] - position[:, second]) ** 2).sum(axis=-1))
    return (level**2).sum(axis=(1, 2)) / 2, charge[:, first] * charge[:, second] / distance
