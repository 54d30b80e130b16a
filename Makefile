# GridTokenX Pipeline. `make demo` and `make test` need python3 (3.11 or 3.12) and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
GRIDTOKENX_DATA ?= $(CURDIR)/data
ARGS ?=
export GRIDTOKENX_DATA
# Dozens of processes import Dagster, Polars, dbt and others: compiling their sources each time would be a quarter of the work.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo up test bench lint format clean
.DEFAULT_GOAL := help

help: ## say what can be made
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(VENV)/.ready ## create .venv with the pinned dependencies

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 13) else f"Python 3.11 or 3.12 is needed, this is {sys.version.split()[0]}: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "This Python cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Creating $(VENV) with the pinned dependencies (about a minute, 1.4 GB)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	@UV_HTTP_TIMEOUT=180 $(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

demo: setup ## run the whole line: make demo ARGS="--once --port 9443"
	@$(BIN)/gridtokenx demo $(ARGS)

up: setup ## run the services until Ctrl-C: make up ARGS="--simulate"
	@$(BIN)/gridtokenx up $(ARGS)

test: setup ## run lint, type checks and all tests: make test ARGS="-m 'not e2e'"
	@echo "Lint"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@echo "Types"
	@$(BIN)/mypy
	@echo "Tests"
	@$(BIN)/pytest -n auto --dist loadscope --no-loadscope-reorder $(ARGS)

bench: setup ## run the benchmarks
	@$(BIN)/gridtokenx bench --json $(ARGS)

lint: setup ## check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: setup ## format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean: ## remove everything generated but .venv
	rm -rf -- "$(GRIDTOKENX_DATA)" .pytest_cache .ruff_cache .mypy_cache .hypothesis
