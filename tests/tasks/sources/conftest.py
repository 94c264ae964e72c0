"""Every test here has data folders of its own; the published files are looked for in one place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of $SYMBENCH_DATA, which does not exist yet; the user's cache lies beside it."""
    monkeypatch.setenv("SYMBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "data"


@pytest.fixture
def user_cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "symbench"


@pytest.fixture
def published_exp() -> Path:
    """The published EXP file; a test that needs it is skipped where it is absent."""
    folder = Path(os.environ.get("SYMBENCH_TEST_DATA") or REPOSITORY.parent / "shared" / "data")
    if not (folder / "exp.npz").is_file():
        pytest.skip(
            f"the published EXP set is not at {folder}; set SYMBENCH_TEST_DATA to the folder that holds exp.npz"
        )
    return folder / "exp.npz"


@pytest.fixture
def repository() -> Path:
    return REPOSITORY
