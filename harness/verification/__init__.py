"""Checks of the theory: equivariance errors, laws of group elements, universality."""
