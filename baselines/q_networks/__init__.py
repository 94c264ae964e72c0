"""The equivariant networks q of probabilistic symmetrization and canonicalization, and the noise they read."""
