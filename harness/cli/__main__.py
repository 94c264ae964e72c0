"""``python -m harness.cli``."""

from harness.cli.root import main

main()
