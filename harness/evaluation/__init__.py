"""Runs and tables for scripts and notebooks."""
