# Loa. `make run` and `make test` prepare a fresh Debian or Ubuntu by themselves (scripts/setup) and are instant
# the second time. Extra arguments: make run ARGS="--config my.toml", make test ARGS="tests/codecs -x".
# Tests mostly wait for sound, so they run in one process more than there are cores, up to four; in one: JOBS=0.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
WEB := clients/web
ARGS ?=
JOBS ?= $(shell cores=$$(nproc); echo $$((cores < 3 ? cores + 1 : 4)))
LISTENERS ?= 1000
DURATION ?= 60
REPORT ?= build/bench-relay.json

.PHONY: help run test lint web format bench lock clean distclean setup-run setup-bench setup-test

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: setup-run ## Start a relay with a demo programme on air and print the addresses to open
	@exec $(BIN)/loa serve --demo $(ARGS)

test: lint ## Run everything: lint, types, import contracts, unit, interop and browser tests
	@echo "== pytest"
	@$(BIN)/pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder --max-worker-restart 1 $(ARGS)

lint: setup-test ## Check style, types, import directions and the pages, without running tests
	@echo "== ruff"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@echo "== mypy --strict"
	@$(BIN)/mypy
	@echo "== import contracts"
	@$(BIN)/lint-imports
	@$(MAKE) web

# Without package.json there are no pages to check; without Node.js scripts/setup has already said what to install.
web:
	@if [[ ! -r $(WEB)/package.json ]]; then exit 0; fi; \
	if ! command -v node >/dev/null && [[ -z "$${CI:-}" ]]; then echo "== pages: skipped, Node.js is missing"; exit 0; fi; \
	echo "== pages: tsc"; $(WEB)/node_modules/.bin/tsc -p $(WEB); \
	echo "== pages: node --test"; cd $(WEB); \
	said=$$(node --test tests/*.test.js 2>&1) || { echo "$$said"; exit 1; }; \
	grep -E '^(#|ℹ) (tests|pass|fail) ' <<<"$$said" || true

format: setup-test ## Rewrite the sources in the house style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: setup-bench ## Measure the relay: LISTENERS=1000 DURATION=60 REPORT=build/bench-relay.json
	@mkdir -p $(dir $(REPORT))
	@$(BIN)/loa bench relay --listeners $(LISTENERS) --duration $(DURATION) --json $(REPORT) $(ARGS)

lock: ## Resolve requirements/*.lock anew (UPGRADE=1 takes the newest versions)
	@UPGRADE="$(UPGRADE)" scripts/setup lock

clean: ## Remove caches and build products
	@rm -rf build dist ./*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -path ./.venv -prune -o -path '*/node_modules' -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf

distclean: clean ## The same, and .venv and node_modules: the next run starts from nothing
	@rm -rf .venv $(WEB)/node_modules

setup-run:
	@scripts/setup run

setup-bench:
	@scripts/setup bench

setup-test:
	@scripts/setup test
