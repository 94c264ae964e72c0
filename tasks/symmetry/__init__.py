"""Structures, groups, group elements and their actions (pure torch)."""
