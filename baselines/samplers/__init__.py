"""Samplers of group elements: p(g given x)."""
