# make test   sets up .venv and runs the linter, the type checker and the tests
# make demo   sets up .venv and trains a network on handwritten digits
# make bench  measures against NumPy; PEERS="/path/to/python ..." adds the torch, JAX and PyTensor
#             of these interpreters
#
# Needs Python 3.11 or newer and make; no compiler. PYTHON=/path/to/python3.12 picks the interpreter
# (when .venv is first made), VENV=folder the place of the virtual environment.

VENV ?= .venv
BIN := $(VENV)/bin
NEW_ENOUGH := import sys, venv; sys.exit(sys.version_info < (3, 11))
CANDIDATES := python3 python3.13 python3.12 python3.11 python3.14 python

ifeq ($(origin PYTHON), undefined)
PYTHON := $(shell for p in $(CANDIDATES); do \
    if $$p -c '$(NEW_ENOUGH)' >/dev/null 2>&1; then echo $$p; break; fi; done)
endif

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: test lint types unit demo bench clean

test: lint types unit

lint: $(VENV)/.ready-test
	$(BIN)/ruff check .

types: $(VENV)/.ready-test
	$(BIN)/mypy

# A file's tests stay together: they share fixtures and compiled programs.
unit: $(VENV)/.ready-test
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

demo: $(VENV)/.ready
	$(BIN)/python examples/digits.py

bench: $(VENV)/.ready
	$(BIN)/python -m benchmarks $(foreach python,$(PEERS),--peer-python $(python))

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then \
	  echo "tracejit needs Python 3.11 or newer, and none of $(CANDIDATES) on PATH is one."; \
	  echo "Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12"; exit 1; fi
	@if ! "$(PYTHON)" -c '$(NEW_ENOUGH)'; then \
	  echo "PYTHON=$(PYTHON) does not run, is older than 3.11, or lacks the venv module."; \
	  echo "Name another: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12"; exit 1; fi
	@echo "Making $(VENV) with $(PYTHON)"
	@"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "No virtual environment could be made (on Debian and Ubuntu: apt install python3-venv)."; \
	  exit 1; }

# A stamp is older than pyproject.toml when the dependencies may have changed.
$(VENV)/.ready: pyproject.toml setup.py | $(BIN)/python
	@echo "Installing what tracejit needs"
	@$(BIN)/python -m pip install -qq --editable .
	@touch $@

$(VENV)/.ready-test: pyproject.toml setup.py | $(BIN)/python
	@echo "Installing what tracejit and its tests need"
	@$(BIN)/python -m pip install -qq --editable '.[test]'
	@touch $@ $(VENV)/.ready

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
