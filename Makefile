# `make help` says what there is.

# The Python that .venv is made with, 3.11 or newer.
PYTHON ?= python3
export PYTHON

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test quick lint fix clean clean-demo foreign

VENV := .venv
IN_VENV := PATH="$(CURDIR)/$(VENV)/bin:$$PATH" OMP_NUM_THREADS=1
OUTPUT := .pytest_cache/output

help:
	@echo "make demo        a real run: trains potentials for Al-Cu until they converge, in demo/ (about 5 minutes)"
	@echo "make test        lint and all tests, with DeePMD-kit and LAMMPS; fails below 90 % branch coverage"
	@echo "make quick       the tests that need neither of them, in less than a minute"
	@echo "make lint        ruff and mypy"
	@echo "make fix         what ruff can change by itself, and the documents that are generated"
	@echo "make clean       removes .venv and what the tools left, but not demo/"
	@echo "make clean-demo  removes demo/"
	@echo
	@echo "The first call makes .venv. PYTHON=... chooses the Python for it (default: python3)."

# ---- .venv: a stamp for each set of packages, newer than the files that say what belongs into it

$(VENV)/.small $(VENV)/.full: setup.cfg pyproject.toml constraints.txt
	@.ci/venv $(subst .,,$(suffix $@))

# A .venv that was made elsewhere (a copied or moved clone), or whose Python is gone, is made anew.
ifneq ($(wildcard $(VENV)),)
ifneq ($(shell $(VENV)/bin/python -c 'print(open("$(VENV)/.place").read())' 2>/dev/null),$(CURDIR))
$(VENV)/.small $(VENV)/.full: foreign
foreign:
endif
endif

# ---- what a user wants

demo: $(VENV)/.full
	@.ci/demo

clean-demo:
	@if [ -e demo/.made ]; then \
		case "$$($(VENV)/bin/dpgen2-hpc status -C demo --json 2>/dev/null || true)" in \
			*'"status": "running"'* | *'"status": "waiting"'*) echo "The demo is running: end it first." >&2; exit 1 ;; \
		esac; \
		rm -rf demo; \
	fi

# ---- what a developer wants

# All tools are heard, whatever the first one says.
lint: $(VENV)/.small
	@code=0; for tool in "ruff check ." "ruff format --check ." mypy; do $(IN_VENV) $$tool || code=1; done; exit $$code

fix: $(VENV)/.small
	@$(IN_VENV) ruff check --fix --quiet . || true
	@$(IN_VENV) ruff format --quiet .
	@$(IN_VENV) dpgen2-hpc doc --markdown > .arguments.md.tmp && mv .arguments.md.tmp docs/arguments.md

quick: $(VENV)/.small
	@$(IN_VENV) python -m pytest -q -n 2 -m "not programs and not slow and not queue" -rs

test: $(VENV)/.full lint
	@.ci/services
	@mkdir -p .pytest_cache
	@$(IN_VENV) coverage erase
	@$(IN_VENV) coverage run -m pytest -n 4 --dist loadgroup -rs | tee $(OUTPUT)
	@$(IN_VENV) coverage combine -q
	@code=0; $(IN_VENV) coverage report --fail-under=90 || code=$$?; \
		sed -n '/short test summary/,$$p' $(OUTPUT) | grep -v '^=.*short test summary' || tail -n 1 $(OUTPUT); exit $$code

clean:
	@if [ -e $(VENV)/.place ]; then rm -rf $(VENV); fi
	@rm -rf dpgen2_hpc.egg-info build .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find dpgen2_hpc tests input_examples -name __pycache__ -type d -prune -exec rm -rf {} +
