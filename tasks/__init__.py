"""Tasks: data, the symmetry it has, and how predictions are scored."""
