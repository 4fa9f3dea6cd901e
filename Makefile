# Darkroom: `make up` serves the studio, `make test` passes the tests; both set everything up first.
.DEFAULT_GOAL := help
PYTHON ?= python3
PORT ?= 8000
VENV := .venv
RUN := $(VENV)/bin/python
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export STRICT
export DENO_DIR := $(VENV)/.deno
export DENO_NO_UPDATE_CHECK := 1

.PHONY: help up backup restore drill upgrade-postgres demo test test-slow check audit bench chaos bench-engine install install-dev torch lock format messages clean compose-test

help: ## What can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

up: install ## Serve the studio on http://127.0.0.1:8000 (PORT=8001 make up for another port)
	@exec $(RUN) -m webapp.embedded up --port $(PORT)

backup: install ## Database, images and secrets into one folder or bucket, while the studio runs (TO=/mnt/backups or s3://bucket/folder)
	@$(RUN) -m webapp.embedded run manage.py backup $(if $(TO),--to "$(TO)")

restore: install ## Load a backup into an empty studio that does not run (BACKUP=/mnt/backups/darkroom-...)
	@[ -n "$(BACKUP)" ] || { echo "Say which one: make restore BACKUP=/mnt/backups/darkroom-20270101T044300Z"; exit 1; }
	@$(RUN) -m webapp.embedded run manage.py restore "$(BACKUP)"

drill: install ## Restore a backup beside the studio, draw with it, check it, throw that away (BACKUP=..., the newest by default)
	@$(RUN) -m webapp.embedded run manage.py drill $(if $(BACKUP),"$(BACKUP)")

upgrade-postgres: install ## Take the embedded PostgreSQL's data to the major version of this installation; the old data is kept
	@exec $(RUN) -m webapp.embedded upgrade

demo: install ## A stack of its own: sign up, draw one image, check the ledger, stop
	@$(RUN) -m tests.demo

test: install-dev ## The tests of every push, on real PostgreSQL, Valkey, Celery, diffusers and Chromium (ARGS=... for some of all tests)
	@$(RUN) -m $(if $(ARGS),pytest $(ARGS),tests.run fast)

test-slow: install-dev ## Those that need longer, each night: real studios killed, every sampler, axe on the admin site, a short chaos run
	@$(RUN) -m tests.run slow

check: install-dev ## Every gate: format, lint, types, dead code, imports, migrations, templates, scripts, styles, deployment
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy
	@# Also: no import of a deep-learning library in webapp, no Django in the engine.
	$(VENV)/bin/lint-imports
	$(RUN) -m tests.dead_code
	$(RUN) -m tests.sizes
	$(RUN) -m tests.expanding
	$(VENV)/bin/djade --check --target-version 5.2 $$(git ls-files 'templates/*.html')
	$(VENV)/bin/deno fmt --check --quiet static/css
	$(VENV)/bin/deno lint --quiet static/js tests/scripts/shadowing.js
	$(VENV)/bin/deno check --quiet --no-remote --no-npm --no-lock static/js
	$(RUN) -W error::UserWarning -m tests.gates

audit: install-dev ## Known vulnerabilities of the pinned packages (needs the public package index)
	@$(RUN) -m tests.audit

bench: install-dev ## The service's figures, as a table and in var/bench/service.json (ONLY=posting,holds BASE=commit STRICT=1)
	@$(RUN) -m tests.bench.service $(if $(ONLY),--only "$(ONLY)") $(if $(BASE),--base "$(BASE)") $(ARGS)

bench-engine: install-dev ## The engine against plain diffusers (ARGS="--device cuda --model sd15"), to var/bench/engine.json
	@$(RUN) -m tests.bench.engine.run $(ARGS)

chaos: install-dev ## A studio of its own is broken at seeded moments, and nothing may be lost (SEED=1 MINUTES=5 STORAGE=files|s3 ONLY=kill_web,flushall REPORT=docs/chaos.md)
	@$(RUN) -m tests.chaos --seed $(or $(SEED),1) --minutes $(or $(MINUTES),5) \
		$(if $(STORAGE),--storage $(STORAGE)) $(if $(ONLY),--only $(ONLY)) $(if $(REPORT),--report $(REPORT))

compose-test: install-dev ## Both images and the stack of docker-compose.yml by this machine's Docker: sign up, draw, restart each service, scale, take it down (STAND_INS=/a/folder without a registry)
	@$(RUN) -m tests.compose $(if $(STAND_INS),--stand-ins "$(STAND_INS)")

install: $(VENV)/.installed ## The virtual environment with everything that serving needs

install-dev: $(VENV)/.installed-dev ## The same, with everything that the gates and tests need

$(VENV)/.installed: pyproject.toml requirements.lock packages.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Darkroom needs Python 3.11 or newer: PYTHON=/path/to/python3.11 make up"; exit 1; }
	@echo "1/3 The virtual environment in $(VENV)"
	@[ -x $(RUN) ] || $(PYTHON) -m venv $(VENV) || \
	  { echo "It could not be made: on Debian and Ubuntu, apt install python3-venv"; exit 1; }
	@echo "2/3 The pinned packages, each by its hash"
	@$(call pip_install,needed worker embedded)
	@echo "3/3 torch, the largest of them"
	@$(torch_install)
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "The packages that the gates and the tests need"
	@$(call pip_install,training dev)
	@touch $@

# Installs groups of pyproject.toml from the lock: no file whose hash does not stand there. The lock
# is whole, so pip has nothing to look for (--no-deps).
define pip_install
$(RUN) packages.py select $(1) > $@.txt && \
	$(RUN) -m pip install --no-input --require-hashes --no-deps -r $@.txt || \
	  { echo "The packages could not be installed. The last lines above say why: no network, no room on the disk?"; exit 1; }
endef

# Which build of torch pip would take, then that one: by the lock's hashes unless it is another
# index's (see packages.py). What every build needs is there already.
define torch_install
$(RUN) packages.py select --with-torch worker | sed -n 's/^\(torch==[^ ]*\).*/\1/p' > $@.torch.txt && \
	$(RUN) -m pip install --no-input --quiet --dry-run --no-deps --report $@.torch.json -r $@.torch.txt && \
	$(RUN) packages.py torch $@.torch.json > $@.torch.txt && \
	{ [ ! -s $@.torch.txt ] || $(RUN) -m pip install --no-input -c constraints.txt -r $@.torch.txt; } || \
	  { echo "torch could not be installed. The last lines above say why: no network, no room on the disk?"; exit 1; }
endef

torch: $(VENV)/.installed ## Take torch from another index (INDEX=https://download.pytorch.org/whl/cu126 for older drivers and GPUs, .../cpu without one)
	@[ -n "$(INDEX)" ] || { echo "Say which index: make torch INDEX=https://download.pytorch.org/whl/cu126"; exit 1; }
	@$(RUN) packages.py select --with-torch worker | sed -n 's/^\(torch==[^ ]*\).*/\1/p' > $(VENV)/.$@.torch.txt && \
	$(RUN) -m pip install --no-input --quiet --dry-run --ignore-installed --no-deps --extra-index-url $(INDEX) --report $(VENV)/.$@.torch.json -r $(VENV)/.$@.torch.txt && \
	$(RUN) packages.py torch --other $(VENV)/.$@.torch.json > $(VENV)/.$@.torch.txt && \
	$(RUN) -m pip install --no-input --extra-index-url $(INDEX) -c constraints.txt -r $(VENV)/.$@.torch.txt || \
	  { echo "torch stays as it was. The last lines above say why."; exit 1; }

lock: install-dev ## Write requirements.lock anew, after a change of pyproject.toml or constraints.txt
	@$(RUN) packages.py lock

format: install-dev ## Put the sources into the one format
	@$(RUN) -m ruff format . && $(RUN) -m ruff check --fix . && $(VENV)/bin/deno fmt --quiet static/css

messages: install-dev ## Collect the strings to translate into webapp/locale, and compile them (NEW=de begins another language; needs gettext)
	@$(RUN) manage.py makemessages --all $(if $(NEW),-l $(NEW)) --no-obsolete --add-location file -i .venv -i var -i tests -i worker
	@$(RUN) manage.py compilemessages --ignore .venv

clean: ## Remove the virtual environment and caches (data in var/ stays)
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
