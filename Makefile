# Darkroom: `make up` serves the studio, `make test` passes the tests; both set everything up first.
.DEFAULT_GOAL := help
PYTHON ?= python3
PORT ?= 8000
VENV := .venv
RUN := $(VENV)/bin/python
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help up demo test check bench install install-dev format clean

help: ## What can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

up: install ## Serve the studio on http://127.0.0.1:8000 (PORT=8001 make up for another port)
	@exec $(RUN) -m webapp.embedded up --port $(PORT)

demo: install ## A stack of its own: sign up, draw one image, check the ledger, stop
	@$(RUN) -m webapp.operations.demo

test: install-dev ## The tests, on real PostgreSQL, Valkey, Celery, diffusers and Chromium
	@$(RUN) -m pytest $(ARGS)

check: install-dev ## Every gate: format, lint, types, imports, migrations, templates, deployment
	@$(RUN) -m webapp.operations.gates

bench: install-dev ## The service's figures, as a table and in var/bench/service.json
	@$(RUN) -m tests.bench.service

install: $(VENV)/.installed ## The virtual environment with everything that serving needs

install-dev: $(VENV)/.installed-dev ## The same, with everything that the gates and tests need

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Darkroom needs Python 3.11 or newer: PYTHON=/path/to/python3.11 make up"; exit 1; }
	@[ -x $(RUN) ] || { echo "1/2 Making the virtual environment in $(VENV)"; $(PYTHON) -m venv $(VENV); } || \
	  { echo "No virtual environment could be made: on Debian, apt install python3-venv"; exit 1; }
	@echo "2/2 Installing the pinned packages (torch is the largest of them)"
	@$(RUN) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' > $(VENV)/requirements.txt
	@$(RUN) -m pip install --no-input -c constraints.txt -r $(VENV)/requirements.txt || \
	  { echo "The packages could not be installed: look at the last lines above; is the package index reachable?"; exit 1; }
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "Installing what the gates and the tests need"
	@$(RUN) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["dev"], sep="\n")' > $(VENV)/requirements-dev.txt
	@$(RUN) -m pip install --no-input -q -c constraints.txt -r $(VENV)/requirements-dev.txt || \
	  { echo "The packages could not be installed: look at the last lines above; is the package index reachable?"; exit 1; }
	@touch $@

format: install-dev ## Put the sources into the one format
	@$(RUN) -m ruff format . && $(RUN) -m ruff check --fix .

clean: ## Remove the virtual environment and caches (data in var/ stays)
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
