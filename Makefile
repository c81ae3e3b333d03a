# Everything a newcomer needs: `make demo`, `make test`. Each target sets up its own environment in .venv.

PYTHON ?= python3
BIN := .venv/bin
JOBS ?= 2
AREA ?= core

.DEFAULT_GOAL := help

.PHONY: help
help:
	@echo "make demo     the whole thing on this machine, with sandbox providers"
	@echo "make quick    style, types and the pure tests, while you work (under half a minute)"
	@echo "make test     everything that shows the product right (about four minutes on two cores)"
	@echo "make verify   the long proofs: kills, real servers, a real browser (under 45 minutes)"
	@echo "make bench    how fast, measured side by side (under 20 minutes; BENCH_QUICK=1: under 4)"
	@echo "make seeds    the simulator: FIRST=1 SEEDS=2000"
	@echo "make planted  bugs put in on purpose, and the seed that catches each"
	@echo "make chaos    real processes killed, stopped, cut off: KILLS=1000"
	@echo "make mutants  mutation testing (long): AREA=core"
	@echo "make lint     style, types and who may import whom"
	@echo "make docs     the documentation as a site, in build/site: strict, every link and anchor checked"
	@echo "make check    the worked configuration, through kaskad check"

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[sandbox]'
	@touch $@

.venv/.tested: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ .venv/.installed

.PHONY: demo
demo: .venv/.installed
	$(BIN)/kaskad demo

.PHONY: lint
lint: .venv/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Tests without sockets, servers and subprocesses.
QUICK := tests/house tests/core tests/primitives tests/history tests/events tests/recipients \
	tests/channels tests/render

.PHONY: quick
quick: .venv/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -m "not verify and not browser and not chaos" -n $(JOBS) \
		--ignore=tests/house/test_docs.py --ignore=tests/house/test_command_line.py $(wildcard $(QUICK))

.PHONY: test
test: .venv/.tested lint
	$(BIN)/python -m pytest -m "not verify and not browser and not chaos" -n $(JOBS) --dist worksteal

.PHONY: verify
verify: .venv/.tested
	$(BIN)/python -m pytest -m verify -n $(JOBS) -p no:cacheprovider --durations=5 tests/properties
	$(BIN)/python -m tests.simulation --first 0 --seeds 2000 --jobs $(JOBS)
	$(BIN)/python -m tests.simulation.planted --jobs $(JOBS)
	$(BIN)/python -m pytest -m "verify or browser" -p no:cacheprovider --durations=20 -rs -s \
		--ignore=tests/properties

.PHONY: check
check: .venv/.installed
	$(BIN)/kaskad check --no-secrets
	$(BIN)/kaskad test

.PHONY: bench
bench: .venv/.tested
	$(BIN)/python -m bench

FIRST ?= 1
SEEDS ?= 2000
.PHONY: seeds
seeds: .venv/.tested
	$(BIN)/python -m tests.simulation --first $(FIRST) --seeds $(SEEDS) --jobs $(JOBS)

.PHONY: planted
planted: .venv/.tested
	$(BIN)/python -m tests.simulation.planted

KILLS ?= 1000
.PHONY: chaos
chaos: .venv/.tested
	KILLS=$(KILLS) $(BIN)/python -m pytest tests/verify/test_chaos.py -p no:cacheprovider -rs -s

.PHONY: mutants
mutants: .venv/.tested
	$(BIN)/python -m tests.mutants.run --area $(AREA)

.venv/.documented: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

.PHONY: docs
docs: .venv/.documented
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict  # --quiet would hide what strict counts
	@echo "build/site/index.html"

.PHONY: image
image:
	docker build --tag kaskad .
