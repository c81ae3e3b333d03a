# Everything a newcomer needs: `make demo`, `make test`. Each target sets up its own environment in .venv.

PYTHON ?= python3
BIN := .venv/bin
JOBS ?= 2

.DEFAULT_GOAL := help

.PHONY: help
help:
	@echo "make demo     the whole thing on this machine, with sandbox providers"
	@echo "make test     everything that shows the product right (under ten minutes)"
	@echo "make verify   the long proofs: kills, real servers, a real browser (under 45 minutes)"
	@echo "make lint     style, types and who may import whom"
	@echo "make check    the worked configuration, through kaskad check"

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
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

.PHONY: test
test: .venv/.tested lint
	$(BIN)/python -m pytest -m "not verify and not browser" -n $(JOBS)

.PHONY: verify
verify: .venv/.tested
	$(BIN)/python -m pytest -m "verify or browser" -p no:cacheprovider --durations=10 -rs -s

.PHONY: check
check: .venv/.installed
	$(BIN)/kaskad check

.PHONY: image
image:
	docker build --tag kaskad .
