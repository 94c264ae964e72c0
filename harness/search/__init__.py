"""Searches for hyper-parameters with Ray Tune over runs that are trained and validated, but not tested."""
