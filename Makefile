# Every target sets up what it needs; `make help` explains them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PORT ?= 8080
ROUNDS ?= 5
EXAMPLE := examples/airports
BIN := $(CURDIR)/.venv/bin
VARIANT ?= full
# Containers know nothing of a certificate authority of the machine's own.
CA_BUNDLE := $(if $(wildcard /usr/local/share/ca-certificates/*.crt),--ca-bundle /etc/ssl/certs/ca-certificates.crt)
# They fork the test process and measure it: it must be small, and have done nothing else.
FORKING := tests/integration/worker/test_cells.py tests/integration/worker/test_namespaces.py

.PHONY: help setup up down test differential lint types layers unit contract integration acceptance frontend format lock catalogue bench bench-peers bench-auth wheel image image-proof clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## Make .venv with everything locked and byte-compiled, and build the frontend
	@bin/setup

up: setup  ## Start the example project, run its pipeline, and leave it running (PORT=8080)
	@cd $(EXAMPLE) && $(BIN)/orrery up --detach --port $(PORT) --trigger airports_ingest
	@cd $(EXAMPLE) && $(BIN)/orrery status && echo "It goes on running. Stop it with: make down"

down:  ## Stop the example project
	@cd $(EXAMPLE) && $(BIN)/orrery down

test:  ## Check everything: lint, types, layers, and all test rings
	@bin/setup --tests
	@$(MAKE) --no-print-directory lint types layers frontend
	@$(BIN)/pytest --ignore=tests/acceptance/executor/test_differential.py $(FORKING:%=--ignore=%)
	@$(BIN)/pytest $(FORKING)

differential:  ## The same DAGs on the LocalExecutor and on ours, compared (ten minutes; not part of `make test` yet)
	@bin/setup --tests
	@$(BIN)/pytest tests/acceptance/executor/test_differential.py

lint: setup  ## ruff: format and rules
	@$(BIN)/ruff format --check
	@$(BIN)/ruff check

types: setup  ## mypy, strict, on sources and tests
	@$(BIN)/mypy

layers: setup  ## The import contracts
	@$(BIN)/lint-imports

frontend: setup  ## The frontend's type check and tests
	@bin/frontend check

unit: setup  ## Tests that need nothing (seconds)
	@$(BIN)/pytest tests/unit

contract: setup  ## One suite per port, on the fake and the real thing; Airflow's private interfaces
	@$(BIN)/pytest tests/contract

integration: setup  ## Real PostgreSQL and Airflow components
	@$(BIN)/pytest tests/integration $(FORKING:%=--ignore=%)
	@$(BIN)/pytest $(FORKING)

acceptance:  ## What a user does: orrery up, a browser, kill -9
	@bin/setup --tests
	@$(BIN)/pytest tests/acceptance

format: setup  ## Format and mend what ruff can
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

lock: setup  ## Resolve requirements/*.txt anew (UPGRADE=1: to the newest) and refresh what follows from them
	@bin/lock
	@$(BIN)/python bin/update_catalogue
	@$(BIN)/python bin/update_airflow_options
	@$(BIN)/python -m orrery.deployment.schema docs/reference/orrery.schema.json

bench: setup  ## Measure beside stock Airflow, in the same run: hours (ROUNDS=5, ONLY=chain,fanout for less)
	@$(BIN)/python benchmarks/startup.py --rounds $(ROUNDS)
	@$(BIN)/python benchmarks/tasks.py --rounds $(ROUNDS) $(if $(ONLY),--only $(ONLY)) $(if $(LONG),--long $(LONG))

bench-peers: setup  ## The same tasks on Prefect, Dagster and DBOS too (ROUNDS=5; downloads them)
	@$(BIN)/python benchmarks/peers.py --rounds $(ROUNDS)

bench-auth: setup  ## Authorised requests with our auth manager, the simple one and FAB (ROUNDS=5; downloads FAB)
	@$(BIN)/python benchmarks/auth.py --rounds $(ROUNDS)

wheel: setup  ## Build dist/*.whl
	@$(BIN)/python -m hatchling build -t wheel

image: setup  ## Build the image orrery/runtime (VARIANT=full, BASE=a Debian image, PYTHON=3.13); needs docker or podman
	@base="$(BASE)"; base=$${base:-$$(bin/base-image $(if $(filter 3.11,$(PYTHON)),12,13))} && \
	$(BIN)/orrery image build --variant $(VARIANT) --base "$$base" $(if $(PYTHON),--python $(PYTHON)) $(CA_BUNDLE)

image-proof:  ## The image's acceptance tests on the full image (minutes more than in `make test`, which builds slim)
	@bin/setup --tests
	@ORRERY_TEST_IMAGE_VARIANT=full $(BIN)/pytest tests/acceptance/image

clean:  ## Remove what setup and builds made (not your deployments' data)
	rm -rf .venv dist frontend/node_modules src/orrery/ui/static .mypy_cache .ruff_cache .pytest_cache test-results
