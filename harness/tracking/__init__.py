"""The mirror of the records in MLflow. It can be rebuilt at any time, and its failures never stop a run.

Importing this package does not import MLflow.
"""

from harness.tracking.launch import LaunchTracker, TrackerHandle
from harness.tracking.run import RunTracker
from harness.tracking.server import serve
from harness.tracking.sync import SyncResult, sync

__all__ = ["LaunchTracker", "RunTracker", "SyncResult", "TrackerHandle", "serve", "sync"]
