"""The mirror of the records in MLflow. It can be rebuilt at any time, and whatever befalls it, a run goes on.

Importing this imports no MLflow.
"""

from harness.tracking.launch import LaunchTracker, TrackerHandle
from harness.tracking.run import RunTracker
from harness.tracking.server import serve
from harness.tracking.sync import SyncResult, sync

__all__ = ["LaunchTracker", "RunTracker", "SyncResult", "TrackerHandle", "serve", "sync"]
