# Everything runs in a virtual environment of its own, with the exact versions of constraints.txt.
#
#   make demo       install, generate the demo sequences, evaluate, analyze, report; begins anew: $(DEMO)/vot2018 and
#                   $(DEMO)/vot2020 are deleted with all results in them, and nothing else of $(DEMO)
#   make check      lint, type-check, unit tests: what to run after every change
#   make test       the same with the tests that start processes, feed broken input, or drive the toolkit
#   make test-slow  the checks that take minutes, all of them
#   make soak       of these, the long runs that watch memory and time a frame
#   make audit      the packages against known vulnerabilities; needs the network
#   make clean      delete all that was made: the environment, the demo's two workspaces, caches
#
# PYTHON chooses the interpreter (3.11 to 3.13). TORCH_INDEX names another wheel index for PyTorch, for instance
# https://download.pytorch.org/whl/cpu for its CPU wheels.

PYTHON ?= python3
VENV ?= .venv
DEMO ?= demo
TORCH_INDEX ?=

BIN := $(VENV)/bin
# not vot itself, which cannot start trackers from a path with a space
VOT := $(BIN)/dmb vot
TRACKERS := DMB MIL
WORKSPACES := $(DEMO)/vot2018 $(DEMO)/vot2020
export MPLBACKEND := Agg
# a process for each core, with one thread each: the processes are the parallelism
WORKERS ?= auto
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS)

.PHONY: demo check test test-slow soak audit lint install clean

install: $(VENV)/.installed

$(VENV)/.installed: setup.cfg constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12), (3, 13)))' \
	  || { echo "DMB needs Python 3.11, 3.12 or 3.13; choose one: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@# torch comes first and pinned: asked for by another package it may be a build several times as large
	$(BIN)/python -m pip install --no-deps $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install -c constraints.txt -e '.[dev,vot]'
	@touch $@
	@echo 'DMB is installed in $(VENV). Next: . $(BIN)/activate && dmb doctor'

demo: install
	rm -rf $(WORKSPACES)
	$(BIN)/python -m vot_workspace.demo $(DEMO)
	@for form in vot2018 vot2020; do \
	  echo "== $$form: evaluating $(TRACKERS)"; \
	  $(VOT) evaluate --workspace $(DEMO)/$$form $(TRACKERS) || exit 1; \
	  $(VOT) analysis --workspace $(DEMO)/$$form --name demo $(TRACKERS) || exit 1; \
	  $(VOT) report --workspace $(DEMO)/$$form --format html --name demo $(TRACKERS) || exit 1; \
	done
	@$(BIN)/python -m vot_workspace.scores $(DEMO)/vot2018 $(DEMO)/vot2020

lint: install
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint
	$(PYTEST) -m "not slow and not integration"

test: lint
	$(PYTEST) -m "not slow"

test-slow: install
	$(BIN)/python -m pytest -m slow

soak: install
	$(BIN)/python -m pytest -m slow -s tests/robustness/test_soak.py

audit: install
	$(BIN)/python -m pip check
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install --quiet pip-audit
	build/audit/bin/pip-audit --strict --no-deps --disable-pip -r constraints.txt

clean:
	rm -rf $(VENV) $(WORKSPACES) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
