"""Shapes: surfaces as they should be, chiral ones of the right hand, seen in part, in Haar poses; ModelNet's files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation
from scipy.stats import ks_2samp

from tasks.errors import DataError
from tasks.sources import modelnet, point_clouds
from tasks.sources.shape_families import CHIRAL, FAMILIES, TUBE_SIDES, surface_points, unit_ball

SIZES = {"train": 28, "validation": 14, "test": 14}


def distance_to_mesh(points, mesh):
    """[n]: each point against every triangle."""
    each, triangles = np.repeat(points, len(mesh.faces), 0), np.tile(mesh.triangles, (len(points), 1, 1))
    nearest = trimesh.triangles.closest_point(triangles, each)
    return np.linalg.norm(nearest - each, axis=-1).reshape(len(points), -1).min(1)


def writhe(curve):
    """Gauss's double integral over a curve [S, 3]: positive for right-handed coils and knots."""
    tangent, middle = np.diff(curve, axis=0), (curve[1:] + curve[:-1]) / 2
    between = middle[:, None] - middle
    distance = np.linalg.norm(between, axis=-1)
    np.fill_diagonal(distance, np.inf)
    return ((np.cross(tangent[:, None], tangent) * between).sum(-1) / distance**3).sum() / (4 * np.pi)


@pytest.mark.parametrize("family", FAMILIES)
def test_points_lie_on_the_surface_and_fill_the_unit_ball(family):
    mesh = FAMILIES[family](np.random.default_rng(1))
    raw = trimesh.sample.sample_surface(mesh, 30, seed=5)[0]
    assert distance_to_mesh(raw, mesh).max() < 1e-9
    points = surface_points(mesh, 30, seed=5)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1).max(), 1)
    scale = np.linalg.norm(raw - raw.mean(0), axis=1).max()
    np.testing.assert_allclose(points * scale + raw.mean(0), raw, atol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_points_are_uniform_on_the_surface(family):
    mesh = FAMILIES[family](np.random.default_rng(2))
    points = trimesh.sample.sample_surface(mesh, 20_000, seed=3)[0]
    centroid = (mesh.triangles_center * mesh.area_faces[:, None]).sum(0) / mesh.area
    error = points.std(0) / np.sqrt(len(points))
    assert (np.abs(points.mean(0) - centroid) < 4 * error).all()


@pytest.mark.parametrize("family", CHIRAL)
@pytest.mark.parametrize("seed", range(5))
def test_chiral_families_are_right_handed_and_have_left_handed_classes(family, seed):
    mesh = FAMILIES[family](np.random.default_rng(seed))
    assert writhe(mesh.vertices.reshape(-1, TUBE_SIDES, 3).mean(1)) > 0.3
    right, left = (point_clouds._shape(name, 50, np.random.default_rng(seed)) for name in (family, f"left {family}"))
    np.testing.assert_array_equal(left, right * [1, 1, -1])


def test_the_same_seed_gives_the_same_shapes_and_a_smaller_set_is_the_beginning():
    whole = point_clouds.generated(SIZES, points=20, handed=True, seed=3)
    smaller = point_clouds.generated({"train": 10, "validation": 5, "test": 14}, points=20, handed=True, seed=3)
    other = point_clouds.generated(SIZES, points=20, handed=True, seed=4)
    for split in point_clouds.SPLITS:
        size = len(smaller[split].label)
        np.testing.assert_array_equal(smaller[split].points, whole[split].points[:size])
        np.testing.assert_array_equal(smaller[split].label, whole[split].label[:size])
        assert not np.isclose(other[split].points, whole[split].points).all((1, 2)).any()


def test_classes_are_balanced_and_no_shape_comes_twice():
    made = point_clouds.generated(SIZES, points=20, handed=True, seed=0)
    for split, size in SIZES.items():
        classes = len(point_clouds.class_names(handed=True))
        np.testing.assert_array_equal(np.bincount(made[split].label), size // classes)
    points = np.concatenate([made[split].points for split in point_clouds.SPLITS])
    sorted_norms = np.sort(np.linalg.norm(points, axis=-1), axis=1)  # whatever the order and the pose
    assert len(np.unique(sorted_norms.round(5), axis=0)) == sum(SIZES.values())


def test_the_second_call_reads_the_cache(monkeypatch):
    first = point_clouds.generated(SIZES, points=8, handed=False, seed=0)
    monkeypatch.setattr(point_clouds, "_generate", lambda *_: pytest.fail("generated again"))
    second = point_clouds.generated(SIZES, points=8, handed=False, seed=0)
    for split in SIZES:
        np.testing.assert_array_equal(first[split].points, second[split].points)
        assert second[split].points.dtype == np.float32


def test_without_occlusion_and_noise_the_first_points_are_seen():
    made = point_clouds.generated(SIZES, points=20, handed=False, seed=0)["train"].points
    clouds = point_clouds.seen(made, 12, noise=0.0, occlusion=0.0, random=np.random.default_rng(0))
    np.testing.assert_allclose(clouds, unit_ball(made[:, :12]), atol=1e-6)


def test_a_half_space_hides_a_uniform_share(monkeypatch):
    """What is seen of a ball's surface lies behind a plane, and the cap beyond holds the share that is hidden."""
    monkeypatch.setattr(point_clouds, "unit_ball", lambda clouds: clouds)
    ball = np.random.default_rng(1).normal(size=(300, 2000, 3))
    ball /= np.linalg.norm(ball, axis=-1, keepdims=True)
    axis = -np.random.default_rng(2).normal(size=(300, 3, 1))  # the first that is drawn
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    clouds = point_clouds.seen(ball.astype(np.float32), 1000, 0.0, occlusion=0.5, random=np.random.default_rng(2))
    hidden = (1 + (clouds @ axis)[..., 0].min(1)) / 2  # Archimedes: heights are uniform on a sphere
    assert ks_2samp(hidden, np.random.default_rng(3).uniform(0, 0.5, 5000)).pvalue > 0.001
    assert np.abs((clouds @ axis).max(1) - 1).max() < 0.02


def test_noise_has_the_deviation_asked_for(monkeypatch):
    monkeypatch.setattr(point_clouds, "unit_ball", lambda clouds: clouds)
    made = point_clouds.generated(SIZES, points=50, handed=False, seed=0)["train"].points
    clouds = point_clouds.seen(made, 50, noise=0.03, occlusion=0.0, random=np.random.default_rng(0))
    offset = (clouds - made).ravel()
    assert abs(offset.std() - 0.03) < 4 * 0.03 / np.sqrt(2 * offset.size)
    assert abs(offset.mean()) < 4 * 0.03 / np.sqrt(offset.size)


@pytest.mark.parametrize("proper", [False, True])
def test_poses_are_haar_distributed(proper):
    poses = point_clouds.random_poses(3000, proper, np.random.default_rng(0))
    identity = poses.matrix @ poses.matrix.swapaxes(1, 2)
    np.testing.assert_allclose(identity, np.broadcast_to(np.eye(3), identity.shape), atol=1e-12)
    determinant = np.linalg.det(poses.matrix)
    share = (determinant > 0).mean()
    assert share == 1 if proper else abs(share - 0.5) < 4 * 0.5 / np.sqrt(3000)
    rotations = Rotation.random(3000, rng=1).as_matrix()
    turns = determinant[:, None, None] * poses.matrix
    statistics = [(part[:, 0, 0], part[:, 2, 1], np.trace(part, axis1=1, axis2=2)) for part in (turns, rotations)]
    for found, expected in zip(*statistics, strict=True):
        assert ks_2samp(found, expected).pvalue > 0.001 / 3
    assert bool(poses.translation.any()) == proper


@pytest.mark.parametrize(
    "wrong", [{"points": 0}, {"occlusion": 1.0}, {"noise": -1.0}, {"points": 18}]
)  # 18 seen points of which a quarter is hidden need 24
def test_what_cannot_be_seen_is_refused(wrong):
    settings = {"points": 4, "noise": 0.0, "occlusion": 0.25, "random": np.random.default_rng(0), **wrong}
    with pytest.raises(ValueError, match=r"must be positive|must not be negative"):
        point_clouds.seen(np.zeros((2, 20, 3), np.float32), **settings)


class TestModelNet:
    """PyG's reader on a small archive of the published layout."""

    @pytest.fixture(autouse=True)
    def archive(self, monkeypatch):
        from torch_geometric.datasets import ModelNet

        monkeypatch.setattr(modelnet, "POINTS", 30)
        monkeypatch.setattr(modelnet, "SIZES", {"modelnet10": (20, 4)})

        def download(self):
            for kind, category in enumerate(("bathtub", "night_stand")):
                for split, numbers in (("train", range(1, 11)), ("test", range(11, 13))):
                    folder = Path(self.raw_dir) / category / split
                    folder.mkdir(parents=True)
                    for number in numbers:
                        mesh = list(FAMILIES.values())[kind](np.random.default_rng(number))
                        (folder / f"{category}_{number:04d}.off").write_text(mesh.export(file_type="off"))

        monkeypatch.setattr(ModelNet, "raw_file_names", property(lambda self: ["bathtub"]))
        monkeypatch.setattr(ModelNet, "download", download)

    def test_splits_are_published_but_for_a_tenth_of_each_class(self):
        assert modelnet.available() == "generated"
        found = point_clouds.published("modelnet10")
        assert modelnet.available() == "modelnet10"
        counts = {split: np.bincount(part.label).tolist() for split, part in found.items()}
        assert counts == {"train": [9, 9], "validation": [1, 1], "test": [2, 2]}
        points = np.concatenate([part.points for part in found.values()])
        assert points.shape == (24, 30, 3) and len(np.unique(points, axis=0)) == 24
        np.testing.assert_allclose(np.linalg.norm(points, axis=-1).max(1), 1, rtol=1e-6)
        train, _ = modelnet.surfaces("modelnet10")
        for kind in (0, 1):
            (held_out,) = found["validation"].points[found["validation"].label == kind]
            np.testing.assert_array_equal(held_out, train.points[train.label == kind][9])

    def test_shapes_come_in_an_order_that_mixes_the_classes(self):
        """A set that is not shuffled before its first so many are taken has all classes in them."""
        train, _ = modelnet.surfaces("modelnet10")
        assert len(set(train.label[:10].tolist())) == len(set(train.label[10:].tolist())) == 2

    def test_the_order_of_files_does_not_matter(self, data_folder, monkeypatch):
        import glob

        first = modelnet.surfaces("modelnet10")
        (data_folder / modelnet.file_name("modelnet10")).unlink()
        listed = glob.glob
        monkeypatch.setattr("torch_geometric.datasets.modelnet.glob.glob", lambda path: sorted(listed(path))[::-1])
        for one, other in zip(first, modelnet.surfaces("modelnet10"), strict=True):
            np.testing.assert_array_equal(one.points, other.points)
            np.testing.assert_array_equal(one.label, other.label)

    def test_missing_meshes_are_noticed(self, data_folder, monkeypatch):
        monkeypatch.setattr(modelnet, "SIZES", {"modelnet10": (21, 4)})
        with pytest.raises(DataError, match="20 meshes for train instead of 21"):
            modelnet.surfaces("modelnet10")
        assert modelnet.available() == "generated"

    def test_offline_is_one_clear_sentence(self, monkeypatch):
        from torch_geometric.datasets import ModelNet

        def fail(self):
            raise OSError("no route to host")

        monkeypatch.setattr(ModelNet, "download", fail)
        with pytest.raises(DataError, match=r"could not be downloaded or read \(OSError: no route to host\); put"):
            point_clouds.published("modelnet10")
