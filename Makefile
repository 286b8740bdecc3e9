# Two commands need nothing but Python 3.11 and make: `make demo` and `make test`. Both set up .venv first.
PYTHON ?= python3.11
BIN := .venv/bin
RUN := --store results
REFERENCE := results/reference/fashion_mnist
# Two processes of one thread each do as much as one of two threads, and a file's fixtures are made once. Long files first.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: demo reference test drills test-fast check check-bundles site mutants bench speed notebooks format clean help

help:
	@echo "make demo       run every method on the digits suite, five seeds of one student: five minutes on 2 cores"
	@echo "make reference  the runs behind results/reference/fashion_mnist, about 3 hours on 2 cores; goes on where it was"
	@echo "make test       all tests but the drills"
	@echo "make drills     the longest tests: Ray clusters that lose nodes, workers, drivers and heads; generators of real size; minutes"
	@echo "make test-fast  the tests without the end-to-end runs"
	@echo "make check      ruff (lint and format), mypy, the layers, the site, and the bundles of results/community"
	@echo "make site       the documentation as a site, in site/"
	@echo "make mutants    make deliberate mistakes, one at a time, and print those that no test notices"
	@echo "make bench      speed ratios, with pytest-benchmark"
	@echo "make speed      images/s and share of the device's peak at DiT-XL/2's size, for a GPU"
	@echo "make notebooks  execute the notebooks again, in place"

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: .venv/.ready
	$(BIN)/harness run --methods all --suite digits --students convnet3 --seeds 0-4 $(RUN)

reference: .venv/.ready
	for name in dc dc50 dsa rded; do \
	  $(BIN)/harness run --config $(REFERENCE)/requests/$$name.yaml $(RUN) || exit 1; \
	  rm -rf $(REFERENCE)/$$name; \
	  $(BIN)/harness bundle --to $(REFERENCE)/$$name --pictures 450kB $(RUN) || exit 1; \
	done

test: .venv/.ready
	$(PYTEST) -m "not drill" --durations=25

drills: .venv/.ready
	$(PYTEST) -m drill --durations=10

test-fast: .venv/.ready
	$(PYTEST) -m "not slow"

check: .venv/.ready check-bundles site
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Strict: a link or an anchor that leads nowhere, or a page that is in no menu, fails.
site: .venv/.ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

# None is there until somebody sends one; docs/leaderboard.md.
BUNDLES := $(wildcard results/community/*.zip)
check-bundles: .venv/.ready
	$(if $(BUNDLES),$(BIN)/harness bundle --check $(BUNDLES) --limit 2MB,@echo "no bundle in results/community")

mutants: .venv/.ready
	$(BIN)/python -m tests.mutants

bench: .venv/.ready
	$(BIN)/python -m pytest tests/benchmarks -o addopts= --benchmark-only --benchmark-group-by=group -s

speed: .venv/.ready
	$(BIN)/python -m tests.benchmarks.gpu

notebooks: .venv/.ready
	$(BIN)/python -m notebooks.execute

format: .venv/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv site .pytest_cache .mypy_cache .ruff_cache
