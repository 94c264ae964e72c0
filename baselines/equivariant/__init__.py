"""Networks that are symmetric by construction."""
