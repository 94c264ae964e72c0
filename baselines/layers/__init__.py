"""Layers of networks and samplers."""
