"""Searches for hyper-parameters: Ray Tune over runs that are trained and validated, and never tested."""
