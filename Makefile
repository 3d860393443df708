# `make run` and `make test` do all set-up; see README.md.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do command -v $$p && break; done)
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

# A marker is written last, so an interrupted set-up is taken up again; it is older than the files it depends on when they change.
.venv/.ready: pyproject.toml constraints.txt
	@.ci/preflight "$(PYTHON)"
	@echo "Setting up .venv (once; some minutes) …"
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	@$(PIP) install $(if $(TORCH_INDEX),--index-url "$(TORCH_INDEX)") --constraint constraints.txt torch
	@$(PIP) install --constraint constraints.txt --editable .
	@touch $@

.venv/.ready-dev: .venv/.ready
	@echo "Installing the tools for tests and checks …"
	@$(PIP) install --constraint constraints.txt --editable ".[dev]"
	@touch $@
