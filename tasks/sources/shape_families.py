"""Families of surfaces with random proportions, as triangle meshes that point clouds are sampled from.

Helices and trefoil knots are right-handed; a reflection, but no rotation, makes them left-handed. The other families
have mirror planes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from trimesh import Trimesh, creation
from trimesh.sample import sample_surface
from trimesh.util import concatenate

Float = NDArray[np.float64]

ROUND = 24  # edges of the polygon that approximates a circle
TUBE_SECTIONS = 96
TUBE_SIDES = 8


def box(random: np.random.Generator) -> Trimesh:
    """A cuboid."""
    return creation.box(extents=random.uniform(0.4, 1.0, 3))


def prism(random: np.random.Generator) -> Trimesh:
    """A prism over a regular triangle."""
    return creation.cylinder(radius=random.uniform(0.3, 0.8), height=random.uniform(0.5, 1.5), sections=3)


def pyramid(random: np.random.Generator) -> Trimesh:
    """A pyramid over a square."""
    return creation.cone(radius=random.uniform(0.5, 0.9), height=random.uniform(0.6, 1.5), sections=4)


def cylinder(random: np.random.Generator) -> Trimesh:
    """A closed cylinder."""
    return creation.cylinder(radius=random.uniform(0.2, 0.7), height=random.uniform(0.5, 1.5), sections=ROUND)


def cone(random: np.random.Generator) -> Trimesh:
    """A circular cone."""
    return creation.cone(radius=random.uniform(0.3, 0.8), height=random.uniform(0.6, 1.5), sections=ROUND)


def capsule(random: np.random.Generator) -> Trimesh:
    """A cylinder with hemispherical ends."""
    return creation.capsule(height=random.uniform(0.5, 2.0), radius=random.uniform(0.3, 0.6), count=(16, ROUND))


def pipe(random: np.random.Generator) -> Trimesh:
    """A cylinder with a circular hole."""
    outer = random.uniform(0.4, 0.8)
    return creation.annulus(outer * random.uniform(0.5, 0.8), outer, random.uniform(0.5, 1.5), sections=ROUND)


def torus(random: np.random.Generator) -> Trimesh:
    """A torus of revolution."""
    return creation.torus(1.0, random.uniform(0.15, 0.45), major_sections=ROUND, minor_sections=ROUND // 2)


def ellipsoid(random: np.random.Generator) -> Trimesh:
    """An ellipsoid with three random axes."""
    return creation.icosphere(subdivisions=2).apply_scale(random.uniform(0.4, 1.0, 3))


def cross(random: np.random.Generator) -> Trimesh:
    """Three orthogonal bars of equal thickness through one point."""
    extents = np.full((3, 3), random.uniform(0.1, 0.3))
    np.fill_diagonal(extents, random.uniform(0.6, 1.2, 3))
    bars = concatenate([creation.box(extents=bar) for bar in extents])
    assert isinstance(bars, Trimesh)
    return bars


def helix(random: np.random.Generator) -> Trimesh:
    """A right-handed helix of 1.5 to 3 turns."""
    angle = 2 * np.pi * np.linspace(0, random.uniform(1.5, 3.0), TUBE_SECTIONS)
    radius, pitch = random.uniform(0.4, 0.8), random.uniform(0.4, 0.8)
    curve = np.stack([radius * np.cos(angle), radius * np.sin(angle), pitch * angle / (2 * np.pi)], -1)
    return tube(curve, random.uniform(0.05, 0.12))


def trefoil(random: np.random.Generator) -> Trimesh:
    """The right-handed trefoil knot on a torus, with random height."""
    angle = np.linspace(0, 2 * np.pi, TUBE_SECTIONS)
    distance = random.uniform(1.6, 2.4) + np.cos(3 * angle)
    height = -random.uniform(0.7, 1.3) * np.sin(3 * angle)
    return tube(
        np.stack([distance * np.cos(2 * angle), distance * np.sin(2 * angle), height], -1), random.uniform(0.1, 0.3)
    )


FAMILIES: Mapping[str, Callable[[np.random.Generator], Trimesh]] = {
    function.__name__: function
    for function in (box, prism, pyramid, cylinder, cone, capsule, pipe, torus, ellipsoid, cross, helix, trefoil)
}
CHIRAL = ("helix", "trefoil")


def tube(curve: Float, radius: float) -> Trimesh:
    """A tube with open ends about a curve ``[S, 3]`` without straight parts, built on its Frenet frames."""
    tangent = _unit(np.gradient(curve, axis=0))
    bend = np.gradient(tangent, axis=0)
    normal = _unit(bend - (bend * tangent).sum(-1, keepdims=True) * tangent)
    angle = 2 * np.pi * np.arange(TUBE_SIDES)[:, None] / TUBE_SIDES
    ring = np.cos(angle) * normal[:, None] + np.sin(angle) * np.cross(tangent, normal)[:, None]
    place = np.arange(len(curve) * TUBE_SIDES).reshape(len(curve), TUBE_SIDES)
    corner, beside, after = place[:-1], np.roll(place, -1, 1)[:-1], place[1:]
    opposite = np.roll(place, -1, 1)[1:]
    faces = np.concatenate([np.stack([corner, after, beside], -1), np.stack([after, opposite, beside], -1)])
    return Trimesh((curve[:, None] + radius * ring).reshape(-1, 3), faces.reshape(-1, 3), process=False)


def surface_points(mesh: Trimesh, count: int, seed: int) -> Float:
    """Points ``[count, 3]`` uniform on a surface, scaled to the unit ball about their mean, in arbitrary order."""
    return unit_ball(sample_surface(mesh, count, seed=seed)[0])


def unit_ball(points: NDArray[np.floating]) -> Float:
    """Centres clouds ``[..., n, 3]`` at their means and scales the furthest point of each to norm 1."""
    centred = points - points.mean(-2, keepdims=True)
    return centred / np.linalg.norm(centred, axis=-1).max(-1)[..., None, None]


def _unit(vectors: Float) -> Float:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
