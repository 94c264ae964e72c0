"""The smallest suite that is really trained: one run of a second, or an endless one."""

from __future__ import annotations


def tiny_suite(epochs: int, method: str = "gnn-none") -> str:
    """The text of a suite file."""
    return f"""
protocol: quick
seeds: [0]
settings: {{epochs: {epochs}, batch_size: 10, train_samples: 1, valid_samples: 1, test_samples: 1, test_repeats: 1,
           validate_every: 1, curve_size: 4, curve_samples: [1]}}
experiments:
  - {{tasks: [nbody], methods: [{method}], task_params: {{nodes: 4, train: 20, validation: 10, test: 10}}}}
"""
