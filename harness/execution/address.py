"""The syntax of a Ray cluster's address (no connection is made, no Ray)."""

from __future__ import annotations

import re

from harness.errors import ClusterError

_PLACE = re.compile(r"(ray://)?(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]@?#]+):([0-9]{1,5})")
MOST_PORT = 65_535


def check_address(address: str) -> None:
    """Raises :class:`ClusterError` if ``address`` is neither ``auto`` nor ``host:port`` nor ``ray://host:port``."""
    if address == "auto":
        return
    advice = "give the head's HOST:PORT, ray://HOST:PORT, or auto on a machine of the cluster"
    if address.startswith(("http://", "https://")):
        raise ClusterError(
            f"--address {address} is a dashboard, which takes jobs: send a suite with 'symbench submit', or {advice}."
        )
    found = _PLACE.fullmatch(address)
    if found is None or not 0 < int(found[3]) <= MOST_PORT:
        raise ClusterError(f"--address {address or '(empty)'} is no Ray cluster: {advice}.")
