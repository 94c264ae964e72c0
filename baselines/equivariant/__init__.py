"""Networks that are equivariant by construction."""
