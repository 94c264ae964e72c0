"""What the tests on clusters share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.nodes import Nodes, several_nodes


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    with several_nodes(monkeypatch) as up:
        yield up


@pytest.fixture
def no_cluster_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH", "SYMBENCH_STORE"):
        monkeypatch.delenv(name, raising=False)
