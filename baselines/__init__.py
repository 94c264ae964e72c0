"""Baselines: samplers, base models, equivariant models, and the one formula that joins them."""
