"""Ray execution: runs on a local or remote cluster, and what a launch reports as it goes."""
