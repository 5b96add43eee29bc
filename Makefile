# Every daily command. `make` alone lists them; each sets up what it needs, and a second run is fast.
.DEFAULT_GOAL := help
SHELL := /bin/sh
.PHONY: help setup demo test lint bench lock clean kafka
.DELETE_ON_ERROR:

BIN := .venv/bin
UV := $(shell command -v uv 2>/dev/null)
LOCKS := core demo dev train encoder hub
# The interpreters to try, newest tested first; `make PYTHON=/path/to/python` names another one.
PYTHON ?= python3.13 python3.12 python3.11 python3

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.dev ## Install the trustwatch command, and all that the tests need, into .venv
	@echo "setup: .venv is ready: try .venv/bin/trustwatch --help"

demo: .venv/.demo ## Play a sample leak on an embedded broker and watch the trust index fall
	@if [ -t 1 ]; then exec $(BIN)/trustwatch demo; else exec $(BIN)/trustwatch demo --once; fi

test: .venv/.dev kafka ## Run all tests with their coverage; those of Apache Kafka need Java and Maven
	@echo "test: pytest, with the coverage floor of pyproject.toml"
	@$(BIN)/python -m pytest -q --cov --cov-report=term:skip-covered $(ARGS)

lint: .venv/.dev ## Check style, types, dead code and the lock files
	@echo "lint: ruff check"; $(BIN)/ruff check .
	@echo "lint: ruff format"; $(BIN)/ruff format --check --quiet .
	@echo "lint: mypy"; $(BIN)/mypy
	@echo "lint: vulture"; $(BIN)/vulture
	@echo "lint: requirements name no host, index or option"
	@! grep -nE '^-|://| @ |^# ' requirements/*.txt

bench: .venv/.dev kafka ## Run the quick form of every benchmark
	@failed=; for file in $$(grep -ls -e --quick benchmarks/*.py); do \
	  echo "bench: $$file --quick"; \
	  $(BIN)/python "$$file" --quick || failed="$$failed $$file"; \
	done; \
	if [ -n "$$failed" ]; then echo "bench: failed:$$failed" >&2; exit 1; fi; \
	echo "bench: all passed"

lock: ## Write requirements/*.txt anew (needs uv); UPGRADE=1 also takes newer versions
	@[ -n "$(UV)" ] || { echo "lock: uv is missing: pip install uv" >&2; exit 1; }
	@for name in build $(LOCKS); do \
	  echo "lock: requirements/$$name.txt"; \
	  case $$name in \
	    build) source=requirements/build.in ;; \
	    core) source=pyproject.toml ;; \
	    dev) source="pyproject.toml --extra demo --extra dev --extra train" ;; \
	    *) source="pyproject.toml --extra $$name" ;; \
	  esac; \
	  $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-emit-index-url $(if $(UPGRADE),--upgrade) -o requirements/$$name.txt $$source || exit 1; \
	done

clean: ## Remove all that these commands made: .venv, caches, jars
	rm -rf .venv .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.* dist build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The rest is not listed: steps of the above, each done once and again when what it depends on changed.

ifneq ($(UV),)
INSTALL := $(UV) pip install --quiet --python $(BIN)/python
else
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
endif

# $(call install,NAME): the locked packages, hashes checked, then this project on top of them. The lock
# is complete; without --no-deps some versions of pip look past it for a package asked for with an extra.
define install
@echo "setup: installing requirements/$(1).txt into .venv"
@$(INSTALL) --no-deps --require-hashes -r requirements/build.txt -r requirements/$(1).txt
@$(INSTALL) --no-deps --no-build-isolation --editable .
endef

.venv/.demo: requirements/demo.txt requirements/build.txt pyproject.toml | .venv/.python
	$(call install,demo)
	@touch $@

# Everything in demo.txt is in dev.txt too, in the same version.
.venv/.dev: requirements/dev.txt requirements/build.txt pyproject.toml | .venv/.python
	$(call install,dev)
	@touch .venv/.demo $@

.venv/.python:
	@for python in $(PYTHON); do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "setup: making .venv with $$("$$python" --version)"; \
	    if [ -n "$(UV)" ]; then $(UV) venv --quiet --allow-existing --python "$$("$$python" -c 'import sys; print(sys.executable)')" .venv; \
	    else "$$python" -m venv .venv; fi || { \
	      echo "setup: no virtual environment could be made (on Debian: apt-get install python3-venv)" >&2; exit 1; }; \
	    touch $@; exit 0; \
	  fi; \
	done; \
	echo "setup: Python 3.11 or newer is needed, none of these is one: $(PYTHON)" >&2; \
	echo "setup: install it, or name it: make PYTHON=/path/to/python3" >&2; exit 1

kafka: | .venv/.dev
	@$(BIN)/python -m tests.support.broker
