"""Tasks made of PyG data: :func:`tasks.pyg.card.from_pyg`."""
