"""Base models: networks on structures that can be symmetrized."""
