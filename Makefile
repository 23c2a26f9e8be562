# Everything a developer does, from nothing but Python 3.11 to 3.13 and make. `make help` lists it.
PORT ?= 3000
PYTHON ?= $(shell for candidate in python3 python3.13 python3.12 python3.11; do \
    "$$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
    && echo "$$candidate" && break; done)
TESTS ?= tests
WORKERS ?= 2
STAGE ?= dev

BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONPATH := layers/holdfast
export PYTHONDONTWRITEBYTECODE := 1
export SAM_CLI_TELEMETRY := 0

.DEFAULT_GOAL := help
.PHONY: help environment engine build run test test-postgres lint format lock openapi bench sam-local deploy clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1#\2/p' $(MAKEFILE_LIST) | awk -F'#' '{printf "%-22s %s\n", $$1, $$2}'

environment:
	@if [ -z "$(PYTHON)" ]; then \
	    echo "Holdfast needs Python 3.11, 3.12 or 3.13, and found none; install one or say make PYTHON=/path/to/python3." >&2; \
	    exit 1; \
	fi
	@$(PYTHON) local/environment.py

engine:
	@$(PYTHON) local/engine/install.py

build: environment  ## build functions and layers with sam
	@$(BIN)/python -m local.build

run: environment  ## serve the API on http://127.0.0.1:3000 (PORT=4000 moves it)
	@$(BIN)/python -m local.run --port $(PORT)

test: environment engine build  ## run every test (TESTS=tests/unit runs some, WORKERS=4 on more cores)
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(TESTS)

test-postgres: environment engine  ## compare calendars with a real PostgreSQL (HOLDFAST_POSTGRES_URL, or an installed one)
	@$(BIN)/python -m pytest tests/postgres/exclusion.py

lint: environment  ## check style, types, arrows between modules, the template, the lock and the API document
	@$(BIN)/python -m local.lint

format: environment  ## put the code into the house's format
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

lock: environment  ## resolve dependencies and write the lock and what follows from it (UPGRADE=1 takes the newest)
	@$(BIN)/python -m local.lock $(if $(UPGRADE),--upgrade)

openapi: environment  ## write openapi.json from the code
	@$(BIN)/python -m local.openapi

bench: environment engine build  ## measure the budgets
	@$(BIN)/python -m benchmarks

sam-local: environment build  ## run the first sale through sam local (needs Docker)
	@$(BIN)/python -m local.sam_local

deploy: environment  ## build for AWS and deploy a stage of samconfig.toml (STAGE=dev PARAMETERS="Name=value ...")
	@$(BIN)/python -m operations.deploy --stage $(STAGE) $(PARAMETERS)

clean:  ## forget everything that was made
	rm -rf .venv .aws-sam .local local/engine/node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
