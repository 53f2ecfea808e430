# Everything a person types. `make` alone says what there is.

# Any Python from 3.9 on that really starts (a pyenv shim may refuse) makes the environments; they bring their own.
PYTHON ?= $(shell for p in python3 /usr/bin/python3 /usr/local/bin/python3 /opt/homebrew/bin/python3 python; do \
	"$$p" -c "" 2>/dev/null && echo "$$p" && break; done)
SETUP = $(or $(PYTHON),$(error Set-up needs some Python from 3.9 on to begin with: install python3)) -m bot.setup
APP = .venv-app/bin/python
N ?= 50

.DEFAULT_GOAL := help
.PHONY: help env run test check pytest smoke bench test-kill lock upgrade format browser training demo-reset clean

help: ## say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

run: ## start everything: environments, first training, databases, the simulator when no account is configured
	@$(SETUP) environments app engine
	@$(APP) -m bot.dialogue.training
	@exec $(APP) server.py

test: ## check and test everything, from a fresh clone too
	@$(SETUP) environments dev engine
	@$(SETUP) browser
	@$(MAKE) --no-print-directory --keep-going check pytest

check:
	@echo "· lint, formatting, types, import contracts …"
	@failed=0; \
	.venv-app/bin/ruff check --quiet . || failed=1; \
	.venv-app/bin/ruff format --check --quiet . || { echo "formatting differs: make format"; failed=1; }; \
	.venv-app/bin/mypy --no-error-summary || failed=1; \
	mkdir -p var; .venv-app/bin/lint-imports --no-logo > var/contracts.txt 2>&1 || { cat var/contracts.txt; failed=1; }; \
	exit $$failed

pytest:
	@echo "· tests …"
	@$(APP) -m pytest -q -n 2 --dist loadgroup

smoke: ## play the whole story once and print the transcript
	@$(SETUP) environments app engine
	@$(APP) -m bot.dialogue.training
	@$(APP) -m bot smoke

bench: ## measure every workload beside what one would pick instead (ONLY=name for one)
	@$(SETUP) environments dev engine
	@$(APP) -m bot.dialogue.training
	@$(APP) -m bench $(if $(ONLY),--only $(ONLY))

test-kill: ## kill the process between every two steps, N=50 times each; results in var/kill.json
	@$(SETUP) environments dev engine
	@$(APP) -m bot.dialogue.training
	@$(APP) -m pytest -q -m kill --rounds $(N) --results var/kill.json

env: ## make the environments only
	@$(SETUP) environments dev engine

browser: ## find or get a Chromium for the browser tests
	@$(SETUP) browser

training: ## train the engine's model when what it is made of has changed
	@$(SETUP) environments app engine
	@$(APP) -m bot.dialogue.training

lock: ## write requirements/ anew from pyproject.toml, versions as they are
	@$(SETUP) lock

upgrade: ## write requirements/ anew with the newest versions allowed
	@$(SETUP) lock --upgrade

format: ## format the code and sort its imports
	@$(SETUP) environments dev
	@.venv-app/bin/ruff check --quiet --fix . || true
	@.venv-app/bin/ruff format .

demo-reset: ## make the demo's world anew; everything in the demo's database is lost
	@$(SETUP) environments app
	@$(APP) -m bot demo reset

clean: ## remove environments, caches and trained models; the demo's data stay
	rm -rf .uv .venv-app .venv-engine .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache models/*.tar.gz
	find actions bench bot tests -name __pycache__ -type d -prune -exec rm -rf {} +
