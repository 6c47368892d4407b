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
.PHONY: help install run test prove coverage dist check docs soak drill bench train ops image sbom clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(SERVING) ## set up serving only: .venv/bin/ecg-interop

run: $(SERVING) ## start the service, send one ECG by FHIR and one by MLLP, keep serving (ONCE=1 exits; HTTP_PORT=, MLLP_PORT=)
	@ECG_ALLOW_CANDIDATE=true .venv/bin/ecg-interop demo --http-port $(HTTP_PORT) --mllp-port $(MLLP_PORT) $(if $(ONCE),--once)

test: $(DEVELOPMENT) ## set up everything and run the tests (10 minutes)
	.venv-dev/bin/python -m pytest -n 2 --dist loadfile -m "not slow" $(ARGS)

prove: $(DEVELOPMENT) ## the slow tests: pipelines, services that are killed, images, recovery, the tutorials (20 minutes)
	.venv-dev/bin/python -m pytest -n 2 --dist loadfile -m slow $(ARGS)

coverage: $(DEVELOPMENT) ## make test with coverage of lines and branches; fails under the limit in pyproject.toml (15 minutes)
	.venv-dev/bin/python -m pytest -n 2 --dist loadfile -m "not slow" --timeout 300 --cov --cov-report=term:skip-covered --cov-report=xml:build/coverage.xml $(ARGS)

dist: $(DEVELOPMENT) ## wheel, sdist, model and checksums of the last commit in dist/: the same commit, the same bytes
	rm -rf dist
	.venv-dev/bin/python scripts/dist.py

check: $(DEVELOPMENT) ## format, lint, types, import contracts, docs
	.venv-dev/bin/ruff format --check .
	.venv-dev/bin/ruff check .
	.venv-dev/bin/mypy
	.venv-dev/bin/lint-imports
	.venv-dev/bin/python -m pytest -q tests/test_docs.py

docs: $(DEVELOPMENT) ## build the documentation site into build/site, from docs/ and the code
	NO_MKDOCS_2_WARNING=1 .venv-dev/bin/python -m mkdocs build --strict --quiet
	@echo "build/site; to read it: .venv-dev/bin/python -m http.server --directory build/site"

soak: $(DEVELOPMENT) ## kill -9 again and again, full disk, database gone for a minute: the fault tables (15 minutes)
	.venv-dev/bin/python -m tests.soak $(ARGS)

drill: $(DEVELOPMENT) ## lose services, database, data and passwords under traffic and get all of it back (5 minutes; ARGS="--markdown docs/continuity.md")
	.venv-dev/bin/python -m tests.drill $(ARGS)

bench: $(DEVELOPMENT) ## measure the service and print the tables (ARGS="--full --markdown docs/benchmarks.md")
	.venv-dev/bin/python -m tests.bench $(ARGS)

train: $(DEVELOPMENT) ## train a model on PTB-XL in DATA= (a folder in the official layout)
	.venv-dev/bin/ecg-interop train --data $(DATA)

ops: $(DEVELOPMENT) ## start the Dagster UI (3000) and the MLflow UI (5000); ECG_DATA= names the folder of data sets (DAGSTER_PORT=, MLFLOW_PORT=)
	@.venv-dev/bin/python -m orchestration.ops --dagster-port $(DAGSTER_PORT) --mlflow-port $(MLFLOW_PORT)

# Docker, podman or buildah, whichever is there. The other two leave the health check out unless told Docker's format.
ENGINE ?= $(notdir $(firstword $(shell command -v docker podman buildah)))
BUILD = $(ENGINE) $(if $(filter buildah,$(ENGINE)),bud --layers,build) $(if $(filter docker,$(ENGINE)),,--format docker)
TARGET ?= interop
IMAGE ?= ecg-$(TARGET):$(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

image: ## build the image of the service, by docker, podman or buildah (TARGET=ops: Dagster and MLflow; IMAGE= its name, ARGS=)
	$(BUILD) --file deploy/Dockerfile --target $(TARGET) --tag $(IMAGE) \
	  --build-arg REVISION=$(shell git rev-parse HEAD) $(ARGS) .

sbom: $(DEVELOPMENT) ## write what is in the image into build/IMAGE.cdx.json (CycloneDX)
	deploy/image/unpack.sh $(ENGINE) $(IMAGE) build/rootfs
	.venv-dev/bin/python scripts/sbom.py build/rootfs build/$(subst :,-,$(notdir $(IMAGE))).cdx.json --name $(firstword $(subst :, ,$(notdir $(IMAGE))))
	rm -rf build/rootfs

clean: ## remove both environments, the local database and caches
	rm -rf .venv .venv-dev var build dist .coverage *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

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
