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
	@echo "make test     everything that shows the product right (about twelve minutes on two cores)"
	@echo "make verify   the long proofs: kills, real servers, a real browser (under 45 minutes)"
	@echo "make bench    how fast, measured side by side (under 20 minutes; BENCH_QUICK=1: under 4)"
	@echo "make seeds    the simulator: FIRST=1 SEEDS=2000"
	@echo "make planted  bugs put in on purpose, and the seed that catches each"
	@echo "make chaos    real processes killed, stopped, cut off: KILLS=1000"
	@echo "make mutants  mutation testing (long): AREA=core"
	@echo "make lint     style, types and who may import whom"
	@echo "make docs     the documentation as a site, in build/site: strict, every link and anchor checked"
	@echo "make check    the worked configuration, through kaskad check"
	@echo "make lock     renew the locks in requirements/: all of them newer with UPGRADE=--upgrade"
	@echo "make audit    what is shipped: known vulnerabilities (asks the internet), licences"
	@echo "make dist     wheels, source archives and the SBOM, into dist/"

.venv/bin/python:
	$(PYTHON) -m venv .venv

# What is installed is what the locks in requirements/ name, to the hash.
PIP := -m pip --quiet --disable-pip-version-check install
LOCKED := $(PIP) --require-hashes --requirement
OURS := $(PIP) --no-deps --no-build-isolation --editable .

.venv/.installed: pyproject.toml requirements/image.txt requirements/build.txt | .venv/bin/python
	$(BIN)/python $(LOCKED) requirements/image.txt --requirement requirements/build.txt
	$(BIN)/python $(OURS)
	@touch $@

.venv/.tested: pyproject.toml requirements/test.txt requirements/build.txt | .venv/bin/python
	$(BIN)/python $(LOCKED) requirements/test.txt --requirement requirements/build.txt
	$(BIN)/python $(OURS)
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
	$(BIN)/python -m pytest -m "verify or browser" -p no:cacheprovider --durations=20 -rs \
		-n $(JOBS) --dist loadfile --no-loadscope-reorder --ignore=tests/properties

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

.PHONY: docs
docs: .venv/.tested
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict  # --quiet would hide what strict counts
	@echo "build/site/index.html"

# The tools of releases have an environment of their own: none of them is needed to work on the product.
TOOLS := .tools/bin

.tools/.installed: requirements/tools.txt
	$(PYTHON) -m venv .tools
	$(TOOLS)/python $(LOCKED) requirements/tools.txt
	@touch $@

UPGRADE ?=
COMPILE := $(TOOLS)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --custom-compile-command "make lock" $(UPGRADE)

# A lock keeps its versions as long as pyproject.toml allows them. The image's are a part of the tests'.
.PHONY: lock
lock: .tools/.installed
	$(COMPILE) pyproject.toml --all-extras --output-file requirements/test.txt
	$(COMPILE) pyproject.toml $(IMAGE_EXTRAS:%=--extra %) --constraint requirements/test.txt \
		--output-file requirements/image.txt
	$(COMPILE) requirements/build.in --constraint requirements/test.txt --output-file requirements/build.txt
	$(COMPILE) requirements/tools.in --output-file requirements/tools.txt

# `kaskad demo` and compose's sandbox run from the image; and nothing can be added to it, so traces are in it.
IMAGE_EXTRAS := otel sandbox

# What the image has, and nothing else: the environment that is audited and that the SBOM describes.
build/shipped/.installed: requirements/image.txt .tools/.installed
	rm -rf build/shipped
	$(PYTHON) -m venv --without-pip build/shipped
	$(TOOLS)/python -m pip --quiet --disable-pip-version-check --python build/shipped/bin/python install \
		--require-hashes --requirement requirements/image.txt
	@touch $@

.PHONY: audit
audit: licences
	$(TOOLS)/pip-audit --require-hashes --disable-pip --progress-spinner off \
		--requirement requirements/image.txt

# Reads metadata only, so it works without a network.
.PHONY: licences
licences: build/shipped/.installed
	$(TOOLS)/pip-licenses --python build/shipped/bin/python --summary --order=count \
		--allow-only="$$(grep -v '^#' requirements/licences.txt | paste -sd ';' -)"

.PHONY: dist
dist: build/shipped/.installed
	rm -rf dist
	$(TOOLS)/python -m build --no-isolation --outdir dist .
	$(TOOLS)/python -m build --no-isolation --outdir dist clients/python
	$(TOOLS)/twine check --strict dist/*.whl dist/*.tar.gz
	$(MAKE) sbom

# What the service, its sandbox and their dependencies are, in CycloneDX. The version is not in pyproject.toml itself.
.PHONY: sbom
sbom: build/shipped/.installed
	mkdir -p dist
	sed "s/^dynamic = .*/version = \"$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' orchestrator/__init__.py)\"/" \
		pyproject.toml > build/sbom.toml
	cp README.md LICENSE build/
	$(TOOLS)/cyclonedx-py environment --pyproject build/sbom.toml --mc-type application --output-reproducible \
		--output-format JSON --output-file dist/kaskad.cdx.json build/shipped

.PHONY: hadolint
hadolint: .tools/.installed
	$(TOOLS)/hadolint Dockerfile

.PHONY: image
image:
	docker build --tag kaskad .
