"""Base models: networks on a structure that know nothing of symmetrization."""
