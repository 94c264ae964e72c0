"""A task of your own data: the size of random alkanes, from their atoms, bonds and positions."""

import torch
from symbench.tasks import from_pyg
from torch_geometric.data import Data

BOND_LENGTH = 1.5  # Angstrom
CARBONS = (3, 10)


def alkane(generator: torch.Generator) -> Data:
    """A random tree of carbon atoms with at most four bonds each, filled up with hydrogen."""
    carbons = int(torch.randint(CARBONS[0], CARBONS[1] + 1, (), generator=generator))
    kinds, bonds, free = [0], [], [4]
    position = [torch.zeros(3)]
    for kind in [0] * (carbons - 1) + [1] * (2 * carbons + 2):  # C_n H_(2n + 2)
        places = [atom for atom, count in enumerate(free) if count and kinds[atom] == 0]
        atom = places[int(torch.randint(len(places), (), generator=generator))]
        direction = torch.randn(3, generator=generator)
        position.append(position[atom] + BOND_LENGTH * direction / direction.norm())
        bonds.append((atom, len(kinds)))
        free[atom] -= 1
        kinds.append(kind)
        free.append(0 if kind else 3)
    one_way = torch.tensor(bonds).T
    pos = torch.stack(position)
    return Data(
        x=torch.nn.functional.one_hot(torch.tensor(kinds), 2).float(),
        edge_index=torch.cat([one_way, one_way.flip(0)], 1),
        pos=pos,
        y=(pos - pos.mean(0)).square().sum(1).mean().sqrt(),  # the radius of gyration
    )


def alkanes(count: int = 500) -> list[Data]:
    """The data set, the same in every process."""
    generator = torch.Generator().manual_seed(0)
    return [alkane(generator) for _ in range(count)]


ALKANES = from_pyg(
    alkanes,
    name="alkanes",
    target="y",
    group="S_n x E(3)",
    metric="mae",
    splits={"train": 0.8, "validation": 0.1, "test": 0.1},
    inputs={"node_scalars", "edges", "points"},
    output="graph_scalars",
    standardize=True,
)
