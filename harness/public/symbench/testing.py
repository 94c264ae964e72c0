"""The conformance suite for authors of plug-ins: whether a card and its code do what symbench expects of them."""

from harness.conformance.suite import Check, check_base, check_equivariant, check_sampler, check_task, checks_of

__all__ = ["Check", "check_base", "check_equivariant", "check_sampler", "check_task", "checks_of"]
