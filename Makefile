# Two environments: .venv serves and holds no training library; .venv-dev holds everything.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
HTTP_PORT ?= 8000
MLLP_PORT ?= 2575
DAGSTER_PORT ?= 3000
MLFLOW_PORT ?= 5000
PIP_INSTALL = pip install --quiet --disable-pip-version-check --constraint constraints.txt

SERVING = .venv/.installed
DEVELOPMENT = .venv-dev/.installed

.DEFAULT_GOAL := help
.PHONY: help install run test prove check soak bench train ops clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(SERVING) ## set up serving only: .venv/bin/ecg-interop

run: $(SERVING) ## start the service, send one ECG by FHIR and one by MLLP, keep serving (ONCE=1 exits; HTTP_PORT=, MLLP_PORT=)
	@ECG_ALLOW_CANDIDATE=true .venv/bin/ecg-interop demo --http-port $(HTTP_PORT) --mllp-port $(MLLP_PORT) $(if $(ONCE),--once)

test: $(DEVELOPMENT) ## set up everything and run the tests (10 minutes)
	.venv-dev/bin/python -m pytest -n 2 --dist loadfile -m "not slow" $(ARGS)

prove: $(DEVELOPMENT) ## the slow tests: whole pipelines, services that are killed, alerts, Prometheus (8 minutes)
	.venv-dev/bin/python -m pytest -n 2 --dist loadfile -m slow $(ARGS)

check: $(DEVELOPMENT) ## format, lint, types, import contracts, docs
	.venv-dev/bin/ruff format --check .
	.venv-dev/bin/ruff check .
	.venv-dev/bin/mypy
	.venv-dev/bin/lint-imports
	.venv-dev/bin/python -m pytest -q tests/test_docs.py

soak: $(DEVELOPMENT) ## kill -9 again and again, full disk, database gone for a minute: the fault tables (15 minutes)
	.venv-dev/bin/python -m tests.soak $(ARGS)

bench: $(DEVELOPMENT) ## measure the service and print the tables (ARGS="--full --markdown docs/benchmarks.md")
	.venv-dev/bin/python -m tests.bench $(ARGS)

train: $(DEVELOPMENT) ## train a model on PTB-XL in DATA= (a folder in the official layout)
	.venv-dev/bin/ecg-interop train --data $(DATA)

ops: $(DEVELOPMENT) ## start the Dagster UI (3000) and the MLflow UI (5000); ECG_DATA= names the folder of data sets (DAGSTER_PORT=, MLFLOW_PORT=)
	@.venv-dev/bin/python -m orchestration.ops --dagster-port $(DAGSTER_PORT) --mlflow-port $(MLFLOW_PORT)

clean: ## remove both environments, the local database and caches
	rm -rf .venv .venv-dev var build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(SERVING): pyproject.toml constraints.txt
	@echo "Setting up .venv (serving, about a minute) ..."
	@$(PYTHON) -m venv .venv
	@.venv/bin/$(PIP_INSTALL) --editable .
	@touch $@

$(DEVELOPMENT): pyproject.toml constraints.txt
	@echo "Setting up .venv-dev (everything, a few minutes) ..."
	@$(PYTHON) -m venv .venv-dev
	@.venv-dev/bin/$(PIP_INSTALL) --editable '.[dev]'
	@touch $@
