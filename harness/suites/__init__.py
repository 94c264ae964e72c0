"""Suites: YAML files, read, validated and expanded to runs, and the plan of what a launch would do."""
