"""Where the data of the tasks comes from: simulators, generators, checked files and the cache.

Everything here is NumPy; networkx, pynauty and python-sat are imported by the functions that need them.
"""
