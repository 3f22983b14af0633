SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory
BIN := .venv/bin
EXAMPLES := random_labels imbalanced missing_values wrong_scaling

.PHONY: help
help: ## Show this list
	@echo 'fitcheck: finds out why a trained TensorFlow model performs poorly'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[36mmake %-18s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Install everything into .venv; quick when nothing changed
	@scripts/setup.sh cpu

.PHONY: demo
demo: setup ## Start the service, audit a real SavedModel over HTTP, show the diagnosis
	@$(BIN)/python -m scripts.demo $(EXAMPLE) $(if $(filter-out 0,$(KEEP)),--keep) $(if $(READY_SECONDS),--ready-seconds $(READY_SECONDS))

.PHONY: test
test: setup lint types contracts ## Lint, check types and imports, run the tests
	@$(BIN)/pytest -n auto --dist loadfile --max-worker-restart 0 -m "not long"

.PHONY: test-long
test-long: setup ## Run the tests that take minutes each: the tutorial, rolling restarts, Ray, MLflow, Airflow, Kubeflow, TFX
	@$(BIN)/pytest -m long

.PHONY: lint
lint: setup ## Check style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

.PHONY: format
format: setup ## Format the code and fix what can be fixed
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: types
types: setup ## Check types with mypy --strict
	@$(BIN)/mypy

.PHONY: contracts
contracts: setup ## Check that schemas <- audits <- service holds
	@$(BIN)/lint-imports

.PHONY: docs
docs: setup ## Write docs/checks from the docstrings of the checks
	@$(BIN)/python -m scripts.write_check_docs

.PHONY: openapi
openapi: setup ## Write docs/openapi.json from the routes
	@$(BIN)/python -m scripts.write_openapi

.PHONY: schema
schema: setup ## Write docs/report.schema.json from the types of the report
	@$(BIN)/python -m scripts.write_report_schema

.PHONY: site
site: setup ## Build the documentation site into build/site; broken links fail
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m scripts.build_site

.PHONY: fuzz-api
fuzz-api: setup ## Send generated requests to a real service; no 5xx, nothing undocumented; MINUTES=10 SEED=
	@$(BIN)/python -m scripts.fuzz_api --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED))

.PHONY: audit-dependencies
audit-dependencies: setup ## Ask osv.dev whether a locked package has a known vulnerability; fails where it cannot be asked
	@$(BIN)/python -m scripts.dependencies audit

.PHONY: sbom
sbom: setup ## Write what each image holds as CycloneDX into build/sbom, validated
	@$(BIN)/python -m scripts.dependencies sbom

.PHONY: soak
soak: setup ## Kill processes, fill the disk, turn the clock at random, on both databases; AUDITS=200 MINUTES=25
	@$(BIN)/python -m benchmarks.soak --audits $(or $(AUDITS),200) --minutes $(or $(MINUTES),25) --database $(or $(DATABASE),both)

.PHONY: fuzz
fuzz: setup ## Change sound files until a reader does what it must not; KIND="csv hdf5" SECONDS=600
	@test -d build/fuzz/venv/lib || { .uv/bin/uv venv -q --python $(BIN)/python build/fuzz/venv && \
	  .uv/bin/uv pip install -q --python build/fuzz/venv/bin/python atheris==3.0.0; }
	@PYTHONPATH=$$PWD:$$($(BIN)/python -c 'import site; print(site.getsitepackages()[0])') \
	  nice build/fuzz/venv/bin/python -m tests.fuzz --seconds $(or $(SECONDS),600) $(KIND)

.PHONY: examples
examples: setup ## Train the models of examples/ anew and write their data
	@for example in $(EXAMPLES); do $(BIN)/python -m examples.$$example.make; done

.PHONY: clean
clean: ## Remove the demo's state and every cache
	@rm -rf .demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .schemathesis build dist
	@find . -name __pycache__ -not -path './.venv/*' -not -path './.uv/*' -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## Remove the installed environments too
	@rm -rf .venv .uv .cache/environments
