"""Unit and meaning of every column of the tables. Names and types are those of the tables themselves.

Columns ``X_stderr``, ``X_low`` and ``X_high`` are described by ``X`` unless they have an entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

UNITS: Mapping[str, str] = {
    "": "no quantity: a name, a text, an identity or a flag",
    "1": "a number without a unit",
    "count": "a number of things",
    "metric": "the unit of the metric that the row names",
    "output²": "the square of the unit of the model's output",
    "loss": "the unit of the loss",
    "loss²": "its square",
    "s": "seconds",
    "s/example": "seconds per example",
    "examples/s": "examples per second",
    "ns": "nanoseconds since 1970",
    "B": "bytes",
    "FLOP/example": "floating-point operations per example",
    "nat": "nats: a natural logarithm",
    "UTC": "a moment in UTC",
}


class Meaning(NamedTuple):
    """The unit of a column, one of :data:`UNITS`, and its meaning in one sentence."""

    unit: str
    text: str


ROWS: Mapping[str, str] = {
    "runs": "One row for each run: a task, a method, a seed and all settings.",
    "accuracy": "One row for each setting: the task's metric over seeds.",
    "costs": "One row for each setting, device and number of seeds trained at once: time and memory of succeeded runs.",
    "ranks": "One row for each method in each ranking: methods compared across the tasks that all of them ran.",
    "sample_complexity": "One row for each setting and number of group samples at evaluation: means over seeds.",
    "output_variance": "One row for each setting, stage and number of group samples: variance of repeated predictions.",
    "scaling": "One row for each setting and device, for tasks and methods that ran on at least two sizes.",
}
"""What a row of each table is."""

COMMON: Mapping[str, Meaning] = {
    "task": Meaning("", "The name of the task."),
    "task_version": Meaning("", "The version of the task; results of different versions are never pooled."),
    "task_params": Meaning("", "The parameters of the task, as JSON, since each task has others."),
    "variant": Meaning("", "A label of data that is not the published set; null for the published set."),
    "group": Meaning("", "The symmetry group of the task; factors of a product are joined by ' x '."),
    "size_name": Meaning("", "The name of the task parameter that is the size; null if the task has no size."),
    "size": Meaning("count", "The size of the task, such as the number of nodes; the group grows with it."),
    "protocol": Meaning("", "The training protocol: paper, standard, quick, or one of a plug-in."),
    "method": Meaning("", "The name of the method, such as mlp-ps."),
    "method_version": Meaning("", "The version of the method; results of different versions are never pooled."),
    "kind": Meaning("", "How the method is symmetric: 'symmetrized' by a sampler, or 'equivariant' by construction."),
    "base_model": Meaning("", "The base model of a symmetrized method, or the network that is equivariant."),
    "weights": Meaning("", "A label of the initial weights if they may be pretrained, else null."),
    "sampler": Meaning("", "The sampler of group elements; null for a network that is equivariant by construction."),
    "setting": Meaning("", "The identity of a run without its seed: runs with an equal setting are pooled."),
    "setting_label": Meaning("", "What distinguishes this setting from others of the method; null if there are none."),
    "series": Meaning("", "The identity of a setting without its size: one curve over sizes."),
    "source": Meaning("", "The imported bundle that the runs are from; null for runs of this store."),
    "metric": Meaning("", "The name of the task's metric."),
    "direction": Meaning("", "Whether a larger ('max') or a smaller ('min') value of the metric is better."),
    "control_name": Meaning("", "The name of the second metric, which shows whether the first can be trusted."),
    "device": Meaning("", "The processor or accelerator of the run, with its number of threads; null if unknown."),
    "stack": Meaning("count", "The number of seeds that were trained at once in one process; 1 for a run of its own."),
    "train_samples": Meaning("count", "The number of group samples for each example in training."),
    "test_samples": Meaning("count", "The number of group samples for each example in the test."),
    "samples": Meaning("count", "The number k of group samples for each example at evaluation."),
    "mean": Meaning("metric", "The mean of the metric over seeds."),
    "stderr": Meaning("metric", "The standard error of 'mean' over seeds; null for one seed."),
    "seeds": Meaning("count", "The number of runs with a finite value, over which 'mean' is taken."),
    "score_metric": Meaning(
        "", "The metric that ranks the setting: 'metric', or its stricter form if the mean of that is worse."
    ),
    "score": Meaning(
        "metric",
        "The mean of 'score_metric' over seeds, by which settings are ranked; null without the stricter form if others "
        "of the benchmark have it.",
    ),
    "score_stderr": Meaning("metric", "The standard error of 'score' over seeds; null for one seed."),
    "variance": Meaning("output²", "The variance of the prediction over group samples, mean over examples and seeds."),
    "parameters": Meaning("count", "The number of parameters of the model."),
    "flops_per_example": Meaning("FLOP/example", "Floating-point operations of one prediction with 'test_samples'."),
    "seconds_per_example": Meaning("s/example", "The time of one prediction with 'test_samples'."),
    "peak_memory_bytes": Meaning("B", "The largest memory of the tensors alive at once in an evaluation batch."),
    "train_seconds": Meaning("s", "The time of training; a run trained in a stack has its share."),
    "train_examples_per_second": Meaning("examples/s", "The speed of training."),
    "output_variance": Meaning("output²", "The squared mean over examples of the standard deviation of the output."),
    "samples_most": Meaning("count", "The largest k that was measured."),
    "samples_needed": Meaning(
        "count",
        "The smallest k from which on the metric is within 1 % of its limit: infinite if that is above 'samples_most', "
        "null if noise over repeats is too large to say.",
    ),
}
"""Columns of several tables."""

OF_TABLE: Mapping[str, Mapping[str, Meaning]] = {
    "runs": {
        "digest": Meaning("", "The identity of the run: a hash of task, method, seed and all settings."),
        "status": Meaning("", "'succeeded' or 'failed'."),
        "suite": Meaning("", "The suite that the run was launched for."),
        "seed": Meaning("", "The seed of all randomness of the run."),
        "value": Meaning("metric", "The metric on the test set; null if the run failed or the value is not finite."),
        "control": Meaning("metric", "The metric 'control_name' on the test set."),
        "metrics": Meaning("", "All test metrics, in the order of their names."),
        "metrics.name": Meaning("", "The name of the metric."),
        "metrics.value": Meaning("metric", "Its value on the test set; null if it is not finite."),
        "curve": Meaning("", "The scores of the trained model with several numbers of group samples."),
        "curve.samples": Meaning("count", "The number k of group samples for each example."),
        "curve.value": Meaning("metric", "The metric with k samples, mean over independent repeats."),
        "curve.value_error": Meaning("metric", "The standard error of 'curve.value' over the repeats."),
        "curve.variance": Meaning("output²", "The variance of the prediction over group samples, mean over examples."),
        "curve.equivariance": Meaning("1", "The error of equivariance on transformed inputs, relative to the output."),
        "output_variance": Meaning("", "The variance of repeated predictions by the definitions of the paper."),
        "output_variance.stage": Meaning("", "The weights: 'initialised' or 'trained'."),
        "output_variance.samples": Meaning("count", "The number of group samples for each example."),
        "output_variance.repeats": Meaning("count", "The number of predictions of each example."),
        "output_variance.output_variance": Meaning(
            "output²", "The squared mean over examples of the standard deviation of the output over the repeats."
        ),
        "output_variance.loss_mean": Meaning("loss", "The mean loss over examples and repeats."),
        "output_variance.loss_variance": Meaning(
            "loss²", "The squared mean over examples of the standard deviation of the loss over the repeats."
        ),
        "train_peak_memory_bytes": Meaning(
            "B", "The largest memory of tensors in training on an accelerator; null on a processor or in a stack."
        ),
        "wall_seconds": Meaning("s", "The time of the whole run, with loading and testing."),
        "started": Meaning("UTC", "When the run began; null if its record names no moment."),
        "finished": Meaning("UTC", "When the run ended; null if its record names no moment."),
        "host": Meaning("", "The name of the machine."),
        "git_commit": Meaning("", "The commit of the code; null outside a repository."),
        "git_dirty": Meaning("", "Whether the code had changes that were not committed."),
        "symbench_version": Meaning("", "The version of symbench that ran."),
        "error": Meaning("", "Why the run failed, in one sentence; null if it succeeded."),
        "traceback": Meaning("", "The traceback of the failure; empty if the process died without one."),
        "notes": Meaning("", "Remarks of the run."),
        "provenance": Meaning("", "What else the run recorded of its code, machine and command."),
        "provenance.python": Meaning("", "The version of Python."),
        "provenance.packages": Meaning("", "The packages that can change the numbers."),
        "provenance.packages.name": Meaning("", "The name of the package."),
        "provenance.packages.version": Meaning("", "Its version."),
        "provenance.plugins": Meaning("", "The plug-ins that were there."),
        "provenance.plugins.name": Meaning("", "The name of the plug-in's package or file."),
        "provenance.plugins.version": Meaning("", "Its version."),
        "provenance.plugins.digest": Meaning("", "The digest of its source."),
        "provenance.plugins.used": Meaning("", "Whether the run used one of its cards."),
        "provenance.device": Meaning("", "The model of the processor or accelerator."),
        "provenance.device_type": Meaning("", "'cpu' or 'cuda'."),
        "provenance.accelerator": Meaning("", "The accelerator's software; its fields are null on a processor."),
        "provenance.accelerator.driver": Meaning("", "The version of the driver."),
        "provenance.accelerator.cuda": Meaning("", "The version of CUDA that torch was built with."),
        "provenance.accelerator.cudnn": Meaning("", "The version of cuDNN as one number."),
        "provenance.accelerator.tf32_matmul": Meaning("", "Whether matrix products could be rounded to TF32."),
        "provenance.accelerator.tf32_cudnn": Meaning("", "Whether convolutions could be rounded to TF32."),
        "provenance.cpus": Meaning("count", "The number of logical processors of the machine."),
        "provenance.threads": Meaning("count", "The number of threads of torch."),
        "provenance.seeds": Meaning("", "The seeds of the run and of its data."),
        "provenance.seeds.name": Meaning("", "'run', or the task parameter that is a seed."),
        "provenance.seeds.value": Meaning("", "The seed."),
        "provenance.peak_rss_bytes": Meaning("B", "The peak resident memory of the process in the run."),
        "provenance.pid": Meaning("", "The identity of the process."),
        "provenance.resources": Meaning("", "The resources that the run was granted."),
        "provenance.resources.cpus": Meaning("count", "The number of processors of each process."),
        "provenance.resources.gpus": Meaning(
            "count", "The number of accelerators of each process, or its share of one."
        ),
        "provenance.resources.memory": Meaning("B", "The reserved memory of each process; null if none was asked for."),
        "provenance.resources.chunk": Meaning(
            "count", "How many group samples were processed at a time; null for all."
        ),
        "provenance.resources.timeout": Meaning("s", "The time after which the run was stopped; null without a limit."),
        "provenance.resources.stack": Meaning("count", "How many seeds could be trained at once in one process."),
        "provenance.resources.workers": Meaning("count", "The number of processes that trained the run together."),
        "provenance.resources.keep_weights": Meaning("", "Whether the trained weights were kept."),
        "provenance.command": Meaning("", "The words of the command that launched the run."),
        "spec_json": Meaning("", "All settings of the run without its seed, as JSON, since each pair has others."),
        "file": Meaning("", "The record's file relative to the store; null for a bundle."),
        "file_mtime_ns": Meaning("ns", "When the file was last changed; 0 for a record in a segment."),
        "file_size": Meaning("B", "The size of the file; 0 for a record in a segment."),
    },
    "accuracy": {
        "score_seeds": Meaning("count", "The number of runs over which 'score' is taken."),
        "iqm": Meaning("metric", "The interquartile mean of 'score_metric' over seeds: the mean of the middle half."),
        "iqm_low": Meaning("metric", "The lower end of the 95 % bootstrap interval of 'iqm'; null for one seed."),
        "iqm_high": Meaning("metric", "The upper end of the 95 % bootstrap interval of 'iqm'; null for one seed."),
        "control_mean": Meaning("metric", "The mean over seeds of the metric 'control_name'."),
        "control_stderr": Meaning("metric", "The standard error of 'control_mean' over seeds; null for one seed."),
        "control_seeds": Meaning("count", "The number of runs that recorded the metric 'control_name'."),
        "failed": Meaning("count", "The number of runs that failed."),
        "undefined": Meaning("count", "The number of runs that succeeded without a finite value."),
        "suites": Meaning("", "The suites that the runs were launched for."),
    },
    "costs": {
        "seconds_per_example": Meaning(
            "s/example", "The mean time of one prediction with 'test_samples' over all runs on the device."
        ),
        "peak_memory_bytes": Meaning(
            "B", "The largest memory of the tensors alive at once in an evaluation batch, over all runs on the device."
        ),
        "cost_seeds": Meaning("count", "The number of runs on the device."),
        "train_seconds": Meaning("s", "The mean time of training, each run with its share of its stack."),
        "train_examples_per_second": Meaning("examples/s", "The mean speed of training."),
    },
    "ranks": {
        "ranking": Meaning("", "The number of the ranking in its protocol, from 1."),
        "tasks": Meaning("", "The tasks of the ranking."),
        "rank": Meaning("1", "The mean over tasks of the rank by the interquartile mean of the score, 1 is best."),
        "place": Meaning("", "The place as on the leaderboard: methods that do not differ significantly share one."),
        "tied_with": Meaning("", "The methods that do not differ significantly from this one."),
        "seeds": Meaning("count", "The smallest number of seeds with a value on a task."),
        "failed": Meaning("count", "The number of failed runs on all tasks."),
        "missing": Meaning("", "The tasks without a value, for which the method has no rank."),
        "several": Meaning("", "The tasks with values of several settings, for which the method has no rank."),
    },
    "sample_complexity": {
        "mean": Meaning("metric", "The mean over seeds of the metric with k samples."),
        "equivariance": Meaning("1", "The error of equivariance on transformed inputs, relative to the output."),
        "limit": Meaning("metric", "The estimated limit of the metric for k to infinity."),
        "variance_slope": Meaning("1", "The exponent a of a fit variance ~ k^a; -1 for a Monte Carlo average."),
        "equivariance_slope": Meaning(
            "1", "The exponent a of a fit equivariance ~ k^a; -1/2 for a Monte Carlo average."
        ),
    },
    "output_variance": {
        "stage": Meaning("", "The weights: 'initialised' or 'trained'."),
        "loss_mean": Meaning("loss", "The mean loss over examples, repeats and seeds."),
        "loss_variance": Meaning("loss²", "The squared mean over examples of the standard deviation of the loss."),
        "seeds": Meaning("count", "The number of runs whose numbers are all finite."),
        "repeats": Meaning("count", "The number of predictions of each example."),
    },
    "scaling": {
        "mean": Meaning("metric", "The mean of the metric over seeds on all devices."),
        "seconds_per_example": Meaning("s/example", "The mean time of one prediction over seeds on the device."),
        "peak_memory_bytes": Meaning("B", "The mean over seeds on the device of the peak memory in evaluation."),
        "variance": Meaning("output²", "The variance of the prediction with one group sample, mean over seeds."),
        "equivariance": Meaning("1", "The equivariance error with one group sample, relative to the output."),
        "equivariance_tested": Meaning(
            "1", "The equivariance error with 'test_samples' group samples; null if the curve does not have that k."
        ),
        "log_group_size": Meaning("nat", "The logarithm of the order of the group's finite factors; null without any."),
        "group_dimension": Meaning("count", "The dimension of the group's Lie factors; null without any."),
        "seconds_exponent": Meaning("1", "The exponent a of a fit time ~ size^a over the series on the device."),
        "memory_exponent": Meaning("1", "The exponent a of a fit memory ~ size^a over the series on the device."),
        "seconds_group_exponent": Meaning(
            "1", "The exponent a of a fit time ~ x^a, where x is 'log_group_size' if it grows, else 'group_dimension'."
        ),
        "memory_group_exponent": Meaning(
            "1", "The exponent a of a fit memory ~ x^a, where x is as in 'seconds_group_exponent'."
        ),
        "variance_exponent": Meaning(
            "1", "The exponent a of a fit variance ~ size^a over the series; sizes with a variance of 0 are left out."
        ),
    },
}
"""Columns of one table, and columns whose meaning there is more exact than in :data:`COMMON`."""
