"""Layers that networks and samplers are made of."""
