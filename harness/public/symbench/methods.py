"""What a base model, a sampler or an equivariant network of your own is made of."""

from baselines.bases.base_model import BaseModel
from baselines.cards import BaseCard, MethodCard, SamplerCard
from baselines.samplers.sampler import Sample, Sampler
from tasks.cards import Input, Output
from tasks.limits import COUNT, FLAG, NOT_NEGATIVE, PART, POSITIVE, SEED, SHARE, OneOf, Range
from tasks.settings import NoSettings, setting
from tasks.symmetry.element import Element
from tasks.symmetry.groups import Group, NodeGroup
from tasks.symmetry.names import NODE_GROUPS
from tasks.symmetry.noise import Generator, Noise, uniform
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure

__all__ = [
    "COUNT",
    "FLAG",
    "NODE_GROUPS",
    "NOT_NEGATIVE",
    "PART",
    "POSITIVE",
    "SEED",
    "SHARE",
    "BaseCard",
    "BaseModel",
    "Element",
    "Generator",
    "Group",
    "Input",
    "MethodCard",
    "NoSettings",
    "NodeGroup",
    "Noise",
    "OneOf",
    "Output",
    "Range",
    "Representation",
    "Sample",
    "Sampler",
    "SamplerCard",
    "Signature",
    "Structure",
    "setting",
    "uniform",
]
