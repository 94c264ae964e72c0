"""The leaderboard: one HTML file that opens offline, and the same in Markdown."""

from harness.report.report import write_report

__all__ = ["write_report"]
