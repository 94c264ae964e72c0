"""The n-body simulator against a plain implementation, one trajectory at a time, and against the laws of physics."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import DataError
from tasks.sources import nbody

NONE = {"train": 0, "validation": 0, "test": 0}


def plain_start(random, nodes):
    """One trajectory's draws, one statement each, in the published order."""
    charge = random.choice([-1.0, 0.0, 1.0], size=(nodes, 1), p=[0.5, 0.0, 0.5])
    x = random.randn(3, nodes) * (1.0 * (nodes / 5.0) ** (1.0 / 3.0))
    v = random.randn(3, nodes)
    random.randn(49, 3, nodes)
    random.randn(49, 3, nodes)
    for i in range(nodes):
        v[:, i] = v[:, i] / np.sqrt(v[0, i] ** 2 + v[1, i] ** 2 + v[2, i] ** 2) * 0.5
        for axis in range(3):
            if x[axis, i] > 5:
                x[axis, i], v[axis, i] = 10 - x[axis, i], -abs(v[axis, i])
            elif x[axis, i] < -5:
                x[axis, i], v[axis, i] = -10 - x[axis, i], abs(v[axis, i])
    return x.T, v.T, charge[:, 0]


def plain_force(x, q):
    """The force on every particle, pair by pair."""
    force = np.zeros_like(x)
    for i in range(len(x)):
        for j in range(len(x)):
            if i != j:
                force[i] += q[i] * q[j] * (x[i] - x[j]) / np.linalg.norm(x[i] - x[j]) ** 3
    return np.clip(force, -100, 100)


def plain_simulation(x, v, q, steps):
    """Positions and velocities [frames, n, 3] of one trajectory."""
    x, positions, velocities = x.copy(), [], []
    v = v + 0.001 * plain_force(x, q)
    for step in range(1, steps + 1):
        x = x + 0.001 * v
        if step % 100 == 0:
            positions.append(x)
            velocities.append(v)
        v = v + 0.001 * plain_force(x, q)
    return np.array(positions), np.array(velocities)


def starts(nodes, size, seed=0):
    """Initial conditions with charges that leave out no case: particles far apart and close together."""
    random = np.random.default_rng(seed)
    position = random.normal(size=(size, nodes, 3)) * (nodes / 5) ** (1 / 3)
    return position, random.normal(size=(size, nodes, 3)) / 2, random.choice([-1, 1], size=(size, nodes))


@pytest.fixture
def few_steps(monkeypatch):
    """All published trajectories are drawn whatever is asked for: here ten of each split, and they are short."""
    monkeypatch.setattr(nbody, "PUBLISHED_SIZES", dict.fromkeys(nbody.PUBLISHED_SIZES, 10))
    monkeypatch.setattr(nbody, "INPUT_FRAME", 1)
    monkeypatch.setattr(nbody, "TARGET_FRAME", 2)


def test_draws_follow_the_published_order():
    sizes = {"train": 7, "validation": 5, "test": 3}
    drawn = nbody.draws(sizes=sizes)
    random = np.random.RandomState(43)
    for split, published in (("train", 10_000), ("validation", 2_000), ("test", 2_000)):
        for index in range(published):
            position, velocity, charge = plain_start(random, 5)
            if index < sizes[split]:
                np.testing.assert_array_equal(drawn[split].position[index], position)
                np.testing.assert_allclose(drawn[split].velocity[index], velocity, rtol=1e-14)
                np.testing.assert_array_equal(drawn[split].charge[index], charge)
        assert drawn[split].position.shape == (sizes[split], 5, 3)


def test_draws_of_many_particles_are_reflected_into_the_box():
    drawn = nbody.draws(nodes=40, sizes=NONE | {"train": 4}, seed=1)["train"]
    random = np.random.RandomState(1)
    reflected = 0
    for index in range(4):
        position, velocity, charge = plain_start(random, 40)
        np.testing.assert_allclose(drawn.position[index], position, rtol=1e-14)
        np.testing.assert_allclose(drawn.velocity[index], velocity, rtol=1e-14)
        np.testing.assert_array_equal(drawn.charge[index], charge)
        reflected += (np.abs(position) > 4.5).sum()
    assert reflected > 0
    assert np.abs(drawn.position).max() <= 5
    np.testing.assert_allclose(np.linalg.norm(drawn.velocity, axis=-1), 0.5)


def test_draws_leave_the_global_generator_alone():
    before = np.random.get_state(legacy=False)
    nbody.draws(nodes=2, sizes=NONE)
    after = np.random.get_state(legacy=False)
    assert str(before) == str(after)


def test_trajectories_to_the_stated_accuracy():
    """Frames 30 and 40 of trajectories without a close encounter, which most are."""
    sizes = {"train": 5, "validation": 3, "test": 1}
    data, drawn = nbody.trajectories(**sizes), nbody.draws(sizes=sizes)
    for split, start in drawn.items():
        for index in range(sizes[split]):
            position, velocity = plain_simulation(*(array[index] for array in start), 4_100)
            np.testing.assert_allclose(data[split].position[index], position[30], rtol=0, atol=1e-6)
            np.testing.assert_allclose(data[split].velocity[index], velocity[30], rtol=0, atol=1e-6)
            np.testing.assert_allclose(data[split].target[index], position[40], rtol=0, atol=1e-4)
            np.testing.assert_array_equal(data[split].charge[index], start.charge[index])


def test_a_chaotic_trajectory_deviates_no_more_than_the_last_bit_explains():
    """The second test trajectory amplifies an error in the last bit of its start some 10^11-fold by frame 30."""
    start = [array[1] for array in nbody.draws(sizes=NONE | {"test": 2})["test"]]
    plain, _ = plain_simulation(*start, 4_100)
    spread = np.zeros(len(plain))
    for axis in range(3):
        nearby = start[0].copy()
        nearby[0, axis] = np.nextafter(nearby[0, axis], np.inf)
        spread = np.maximum(spread, np.abs(plain_simulation(nearby, *start[1:], 4_100)[0] - plain).max(axis=(1, 2)))
    assert spread[30] > 1e-7, "the trajectory is not chaotic"
    frames = nbody.simulate(*(array[None] for array in start))
    assert (np.abs(frames.position[:, 0] - plain).max(axis=(1, 2)) <= 10 * spread + 1e-12).all()


@pytest.mark.parametrize(("nodes", "size"), [(2, 3), (3, 3), (4, 3), (5, 3), (6, 2), (9, 2), (32, 1)])
def test_every_number_of_particles_moves_as_it_should(nodes, size):
    position, velocity, charge = starts(nodes, size)
    frames = nbody.simulate(position, velocity, charge, steps=200)
    assert frames.position.shape == frames.velocity.shape == (2, size, nodes, 3)
    for index in range(size):
        expected = plain_simulation(position[index], velocity[index], charge[index], 200)
        np.testing.assert_allclose(frames.position[:, index], expected[0], rtol=0, atol=1e-9)
        np.testing.assert_allclose(frames.velocity[:, index], expected[1], rtol=0, atol=1e-9)


def test_forces_are_clipped_by_component():
    position = np.array([[[0.0, 0, 0], [0.01, 0.001, 0]]])
    frames = nbody.simulate(position, np.zeros((1, 2, 3)), np.array([[1, 1]]), steps=100)
    expected = plain_simulation(position[0], np.zeros((2, 3)), np.array([1.0, 1.0]), 100)
    np.testing.assert_allclose(frames.position[:, 0], expected[0], atol=1e-10)
    assert np.abs(plain_force(position[0], np.array([1.0, 1.0]))).max() == 100


def test_a_hundred_particles(monkeypatch):
    """One kick and the drift after it, seen alone."""
    monkeypatch.setattr(nbody, "STEPS_PER_FRAME", 1)
    position, velocity, charge = starts(100, 2)
    moved = nbody.simulate(position, velocity, charge, steps=1)
    for index in range(2):
        kicked = velocity[index] + 0.001 * plain_force(position[index], charge[index])
        np.testing.assert_allclose(moved.velocity[0, index], kicked, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(moved.position[0, index], position[index] + 0.001 * kicked, rtol=1e-14, atol=1e-14)


def test_every_trajectory_is_independent_of_its_batch(monkeypatch):
    start = starts(5, 11)
    whole = nbody.simulate(*start, steps=300)
    monkeypatch.setattr(nbody, "_CHUNK_ROWS", 20)
    for size in (1, 4, 11):
        part = nbody.simulate(*(array[:size] for array in start), steps=300)
        np.testing.assert_array_equal(part.position, whole.position[:, :size])
        np.testing.assert_array_equal(part.velocity, whole.velocity[:, :size])


def test_chosen_frames_come_in_the_order_asked_for():
    start = starts(3, 2)
    whole = nbody.simulate(*start, steps=500)
    chosen = nbody.simulate(*start, steps=500, frames=[4, 0, 4])
    np.testing.assert_array_equal(chosen.position, whole.position[[4, 0, 4]])
    np.testing.assert_array_equal(chosen.velocity, whole.velocity[[4, 0, 4]])


def test_the_input_is_not_changed():
    start = starts(4, 2)
    copies = [array.copy() for array in start]
    nbody.simulate(*start, steps=100)
    for array, copy in zip(start, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@given(st.integers(2, 8), st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_symmetries_and_momentum(nodes, seed):
    """Motion commutes with rotation, reflection, translation and relabelling, and keeps the momentum."""
    random = np.random.default_rng(seed)
    position, velocity, charge = starts(nodes, 2, seed)
    position += 3 * np.arange(nodes)[:, None]  # far apart: no chaos, no clipping
    rotation, _ = np.linalg.qr(random.normal(size=(3, 3)))
    order, shift = random.permutation(nodes), random.normal(size=3)
    frames = nbody.simulate(position, velocity, charge, steps=200)
    moved = nbody.simulate(
        (position @ rotation.T + shift)[:, order], (velocity @ rotation.T)[:, order], charge[:, order], 200
    )
    np.testing.assert_allclose(moved.position, (frames.position @ rotation.T + shift)[:, :, order], rtol=0, atol=1e-9)
    np.testing.assert_allclose(frames.velocity[-1].sum(axis=1), velocity.sum(axis=1), rtol=0, atol=1e-9)


def test_energy_is_kept_and_a_wrong_force_is_noticed():
    position, velocity, _ = starts(5, 50)
    charge = np.ones((50, 5))  # repulsion alone: no close encounters
    frames = nbody.simulate(position, velocity, charge, steps=2_000)
    assert nbody.energy_drift(frames, charge).shape == (50,)
    assert nbody.energy_drift(frames, charge).max() < 1e-4
    free = nbody.simulate(position, velocity, np.zeros((50, 5)), steps=2_000)
    assert np.median(nbody.energy_drift(free, charge)) > 1e-2


@pytest.mark.usefixtures("few_steps")
def test_smaller_sets_are_prefixes():
    large = nbody.trajectories(nodes=4, train=6, validation=5, test=4)
    small = nbody.trajectories(nodes=4, train=2, validation=3, test=0)
    for split, size in (("train", 2), ("validation", 3), ("test", 0)):
        for field in nbody.Trajectories._fields:
            part, whole = getattr(small[split], field), getattr(large[split], field)
            assert len(part) == size
            np.testing.assert_array_equal(part, whole[:size])


@pytest.mark.usefixtures("few_steps")
def test_a_seed_is_a_set_and_parameters_do_not_share_files(data_folder):
    sizes = {"train": 2, "validation": 1, "test": 1}
    first, other = nbody.trajectories(nodes=3, seed=1, **sizes), nbody.trajectories(nodes=3, seed=2, **sizes)
    assert not np.array_equal(first["train"].position, other["train"].position)
    nbody.trajectories(nodes=2, seed=1, **sizes)
    assert len(list(data_folder.glob("*.npz"))) == 3
    shutil.rmtree(data_folder)
    again = nbody.trajectories(nodes=3, seed=1, **sizes)
    np.testing.assert_array_equal(again["train"].target, first["train"].target)


@pytest.mark.usefixtures("few_steps")
def test_the_second_call_reads_the_cache(monkeypatch):
    sizes = {"train": 2, "validation": 1, "test": 1}
    first = nbody.trajectories(nodes=2, **sizes)
    monkeypatch.setattr(nbody, "simulate", lambda *_, **__: pytest.fail("integrated again"))
    second = nbody.trajectories(nodes=2, **sizes)
    for split in sizes:
        for before, after in zip(first[split], second[split], strict=True):
            np.testing.assert_array_equal(before, after)
            assert before.dtype == after.dtype
        assert second[split].charge.dtype == np.int8
        assert second[split].target.dtype == np.float64


@pytest.mark.usefixtures("few_steps")
def test_a_damaged_file_is_reported(data_folder):
    sizes = {"train": 1, "validation": 1, "test": 1}
    nbody.trajectories(nodes=2, **sizes)
    (path,) = data_folder.glob("*.npz")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="delete it"):
        nbody.trajectories(nodes=2, **sizes)


@pytest.mark.parametrize(
    "wrong", [{"nodes": 1}, {"nodes": 101}, {"train": 10_001}, {"validation": 2_001}, {"test": -1}]
)
def test_sizes_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="must be in"):
        nbody.trajectories(**wrong)


def test_wrong_shapes_and_frames_are_refused():
    position, velocity, charge = starts(3, 2)
    for wrong in (
        (position[0], velocity, charge),
        (position, velocity[:, :2], charge),
        (position, velocity, charge[:1]),
    ):
        with pytest.raises(ValueError, match="positions and velocities"):
            nbody.simulate(*wrong, steps=100)
    with pytest.raises(ValueError, match="frames 0 to 1"):
        nbody.simulate(position, velocity, charge, steps=200, frames=[2])
