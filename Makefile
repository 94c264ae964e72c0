PYTHON ?= python3
BIN := .venv/bin

.PHONY: help bootstrap demo test docs chaos bench clean

help:
	@echo "make demo   run the suite quick on this machine and write results/leaderboard.html"
	@echo "make test   check and test everything"
	@echo "make docs   write the documentation to build/site, to be opened without a network"
	@echo "make chaos  kill workers, nodes, servers, ... at every moment of a launch: no record may be lost"
	@echo "make bench  measure speed and memory, and print them"
	@echo "make clean  remove caches; results and .venv stay"

bootstrap:
	@$(PYTHON) .ci/bootstrap.py

# A run that fails (1) is reported on the leaderboard too; bad input (2) or an interrupt leaves nothing to report.
demo: bootstrap
	@status=0; $(BIN)/symbench run quick || status=$$?; \
	if [ $$status -le 1 ]; then $(BIN)/symbench collate && $(BIN)/symbench report || status=$$?; fi; \
	exit $$status

test: bootstrap
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist loadfile --durations=20 -m "not benchmark and not chaos and not alone"
	$(BIN)/pytest --durations=20 -m "not benchmark and not chaos and alone"

docs: bootstrap
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict -q -f docs/site/mkdocs.yml
	@echo "Open build/site/index.html"

chaos: bootstrap
	$(BIN)/pytest tests/cluster/test_kill_matrix.py -m "chaos or not chaos"

bench: bootstrap
	$(BIN)/pytest tests/benchmarks -m benchmark -s

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find harness baselines tasks tests -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "Kept: results/ (delete results/store and results/tables by hand to start over) and .venv/"
