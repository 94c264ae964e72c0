"""What a task of your own is made of."""

from tasks.cards import Recipe, TaskCard
from tasks.limits import COUNT, FLAG, NOT_NEGATIVE, PART, POSITIVE, SEED, SHARE, OneOf, Range
from tasks.protocol import Protocol
from tasks.pyg.card import from_pyg
from tasks.settings import NoSettings, setting
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tasks.task import Dataset, PairedTask, Probabilistic, SeparationTask, Split, SupervisedTask, Task

__all__ = [
    "COUNT",
    "FLAG",
    "NOT_NEGATIVE",
    "PART",
    "POSITIVE",
    "SEED",
    "SHARE",
    "Dataset",
    "NoSettings",
    "OneOf",
    "PairedTask",
    "Probabilistic",
    "Protocol",
    "Range",
    "Recipe",
    "Representation",
    "SeparationTask",
    "Signature",
    "Split",
    "Structure",
    "SupervisedTask",
    "Task",
    "TaskCard",
    "from_pyg",
    "setting",
]
