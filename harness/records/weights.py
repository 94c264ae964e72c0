"""The file with the weights of a run: safetensors, which executes no code when it is read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import StoreError
from harness.records.layout import WEIGHTS

if TYPE_CHECKING:
    from torch import Tensor

ENDING = ".safetensors"
NO_WEIGHTS = "No weights were kept"
"""The begin of the note of a run that was to keep its weights and has none."""


@dataclass(frozen=True, kw_only=True)
class WeightsFile:
    """The file of a run's weights, as its record names it.

    The name contains the checksum, so that a record never names the weights of another attempt.

    Attributes:
        file: The path relative to the store.
        bytes: The size.
        sha256: The checksum, hexadecimal.
    """

    file: str
    bytes: int
    sha256: str

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> WeightsFile:
        """Reads the JSON values of a record.

        Raises:
            ValueError: The path is not that of a file of weights.
        """
        found = WeightsFile(**values)
        folder, _, name = found.file.partition("/")
        if folder != WEIGHTS or "/" in name or not name.endswith(ENDING):
            raise ValueError(f"{found.file} is no file of weights")
        return found

    def load(self, path: Path) -> dict[str, Tensor]:
        """Reads the tensors from ``path``.

        Raises:
            StoreError: The file is missing or was changed.
        """
        from safetensors.torch import load

        try:
            body = path.read_bytes()
        except OSError as error:
            raise StoreError(f"The weights {path} cannot be read ({error.strerror}): bring them back.") from error
        if hashlib.sha256(body).hexdigest() != self.sha256:
            raise StoreError(f"The weights {path} were changed after they were written: bring them back from a copy.")
        return load(body)


def weights_file(digest: str, body: bytes) -> WeightsFile:
    """Describes the file of the weights of a run, given its content."""
    sha256 = hashlib.sha256(body).hexdigest()
    return WeightsFile(file=f"{WEIGHTS}/{digest}-{sha256[:16]}{ENDING}", bytes=len(body), sha256=sha256)


def weights_body(weights: Mapping[str, Tensor], digest: str) -> bytes:
    """The content of a file of weights; equal weights give equal bytes.

    Args:
        weights: Contiguous tensors on the CPU by name.
        digest: The digest of the run, kept in the header of the file.
    """
    from safetensors.torch import save

    return save(dict(weights), metadata={"digest": digest})
