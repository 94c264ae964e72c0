"""The driver's part of the mirror: the experiment of a suite, and the end of runs that a launch left unfinished."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from harness.tracking.connection import connect, experiment, is_server, reason, within
from harness.tracking.content import Home
from harness.tracking.identity import origin, store_id
from harness.tracking.writing import end_unfinished
from harness.utils.redaction import redacted

DATABASE_SECONDS = 60.0
SERVER_SECONDS = 15.0
FINISH_SECONDS = 10.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrackerHandle:
    """The information that a worker needs to mirror its runs.

    Attributes:
        uri: The tracking URI.
        suite: The name of the suite.
        launch_id: The id of the launch.
        store: The location of the store, seen from the driver.
        store_id: The identity of the store.
        experiment_id: The id of the suite's experiment.
        lost: Why MLflow cannot be used, or None.
    """

    uri: str
    suite: str
    launch_id: str
    store: str
    store_id: str = ""
    experiment_id: str = ""
    lost: str | None = None

    @property
    def home(self) -> Home:
        """The place of the launch's runs in MLflow."""
        return Home(self.launch_id, self.store, self.store_id)


class LaunchTracker:
    """One launch in MLflow.

    Attributes:
        handle: The handle for the workers, which mirror nothing if it is ``lost``.
    """

    def __init__(self, handle: TrackerHandle) -> None:
        self.handle = handle

    @property
    def lost(self) -> str | None:
        """Why MLflow cannot be used, in one line; None if it can."""
        return self.handle.lost

    @staticmethod
    def start(uri: str, suite: str, launch_id: str, store_root: Path, address: str | None = None) -> LaunchTracker:
        """Creates the database and the experiment if they do not exist.

        Never raises, and takes a bounded time. The caller holds the store's lock, so runs of this store that are still
        running in MLflow were killed.

        Args:
            uri: The tracking URI.
            suite: The name of the suite.
            launch_id: The id of the launch.
            store_root: The folder of the store.
            address: The address of a remote store, whose mirror ``store_root`` is.
        """
        handle = TrackerHandle(uri=uri, suite=suite, launch_id=launch_id, store=origin(store_root))
        seconds = SERVER_SECONDS if is_server(uri) else DATABASE_SECONDS
        try:
            return LaunchTracker(within(seconds, lambda: _open(handle, store_root, address)))
        except Exception as error:  # MLflow and what is below it raise many kinds, and none may stop a launch
            lost = f"MLflow at {redacted(uri)} cannot be used ({reason(error)}): 'symbench sync' logs the runs later."
            return LaunchTracker(replace(handle, lost=lost))

    def finish(self) -> None:
        """Marks runs that the workers left running as killed. Never raises."""
        if self.lost:
            return
        try:
            within(FINISH_SECONDS, self._close)
        except Exception as error:  # as in start
            _log.warning("the launch could not be ended in MLflow (%s)", reason(error))

    def _close(self) -> None:
        end_unfinished(connect(self.handle.uri), self.handle.experiment_id, self.handle.store, self.handle.store_id)


def _open(handle: TrackerHandle, store_root: Path, address: str | None) -> TrackerHandle:
    client = connect(handle.uri)
    experiment_id = experiment(client, handle.uri, handle.suite, store_root)
    handle = replace(handle, store_id=store_id(store_root, address))
    end_unfinished(client, experiment_id, handle.store, handle.store_id)
    return replace(handle, experiment_id=experiment_id)
