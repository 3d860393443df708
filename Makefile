# `make run` and `make test` do all set-up; see README.md.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# The first that runs and is new enough; else whatever python3 is, for the preflight to name.
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do "$$p" -c '$(FITS)' 2>/dev/null && command -v "$$p" && exit; done; command -v python3)
# Address of a wheel index to take torch from; empty means the default index. PyTorch's CPU index saves several GB on Linux.
TORCH_INDEX ?=
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help run test test-slow check format clean
help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

run: .venv/.ready ## Set up if needed, then run Errata
	@$(BIN)/python app.py

test: .venv/.ready-dev ## Set up if needed, then run the tests (under 15 minutes on two cores)
	@$(BIN)/python -m pytest -m "not full"

test-slow: .venv/.ready-dev ## Full counts, soaks, heavy peers
	@$(BIN)/python -m pytest

check: .venv/.ready-dev ## Format, lint, types, import arrows
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@PYTHONPATH=. $(BIN)/lint-imports

format: .venv/.ready-dev ## Format the code and mend what ruff can
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

clean: ## Remove the environment and everything generated
	rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache *.egg-info

# A marker is written last, so an interrupted set-up is taken up again: an environment without a working pip is made anew.
# From TORCH_INDEX comes torch alone; what torch needs comes from the default index with everything else.
.venv/.ready: pyproject.toml constraints.txt
	@TORCH_INDEX="$(TORCH_INDEX)" .ci/preflight "$(PYTHON)"
	@echo "Setting up .venv (once; some minutes) …"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear .venv
	@$(if $(TORCH_INDEX),$(PIP) install --no-deps --index-url "$(TORCH_INDEX)" --constraint constraints.txt torch)
	@$(PIP) install --constraint constraints.txt --editable .
	@touch $@

.venv/.ready-dev: .venv/.ready
	@echo "Installing the tools for tests and checks …"
	@$(PIP) install --constraint constraints.txt --editable ".[dev]"
	@touch $@
