"""Trained models from a store."""
