"""The sources of the tasks' data: simulators, generators, checked files and the cache.

All of it is NumPy; networkx, pynauty and python-sat are imported by the functions that need them.
"""
