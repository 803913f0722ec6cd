# Sets up a virtual environment by itself, so that each target works from a clean clone.
#   make demo       train on Fashion-MNIST and say how well
#   make test       everything that is quick: style, types, imports, tests
#   make test-isa   the engines' tests with fewer instructions than the processor has
#   make test-slow  big networks, long sweeps, whole examples
#   make format     put the code into its usual form
#   make docs       the documentation as a site, in build/docs

PYTHON ?= python3
VENV ?= .venv
DOCS_VENV ?= .venv-docs
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SOURCES := pyproject.toml CMakeLists.txt $(wildcard cmake/* native/*) $(shell find src -name '*.py' -o -name '*.pyi')
OUT ?= runs/fashion-mnist

# foveate's word for a limit, and that of PyTorch, which is measured against and so is limited likewise.
ISAS := AVX2:avx2 SSE41:default
ISA_TESTS := tests/engines

.PHONY: demo test test-isa test-slow format docs clean

demo: $(VENV)/.installed
	$(BIN)/foveate data fetch fashion-mnist
	$(BIN)/foveate train fashion-mnist --out $(OUT) --overwrite

test: $(VENV)/.tested-with
	$(BIN)/foveate data fetch fashion-mnist
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -m "not slow"

# `make test` has run them with all instructions that this processor has.
test-isa: $(VENV)/.tested-with
	set -e; for isa in $(ISAS); do \
	  echo "FOVEATE_MAX_ISA=$${isa%:*}"; \
	  FOVEATE_MAX_ISA=$${isa%:*} ONEDNN_MAX_CPU_ISA=$${isa%:*} ATEN_CPU_CAPABILITY=$${isa#*:} \
	    $(BIN)/python -m pytest -q -m "not slow" $(ISA_TESTS); \
	done

test-slow: $(VENV)/.tested-with
	$(BIN)/foveate data fetch fashion-mnist
	$(BIN)/python -m pytest -m slow tests

format: $(VENV)/.tested-with
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The reference is read from the sources: foveate itself need not be built.
docs: $(DOCS_VENV)/.documents-with
	NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs build --strict

clean:
	rm -rf $(VENV) $(DOCS_VENV) build

$(VENV)/.python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade pip
	touch $@

$(VENV)/.installed: $(SOURCES) | $(VENV)/.python
	@echo "Building and installing foveate (about a minute)"
	$(PIP) install .
	touch $@

# PyTorch first and alone: its version is fixed, and a plain "torch" would bring gigabytes of GPU libraries.
$(VENV)/.tested-with: $(VENV)/.installed
	@echo "Installing what the tests need (PyTorch and others)"
	$(PIP) install torch==2.13.0
	$(PIP) install --group test
	$(PIP) install --no-deps pytorchcv==0.0.74 facenet-pytorch==2.6.0  # torchvision, which they ask for, is not needed
	touch $@

$(DOCS_VENV)/.documents-with: pyproject.toml
	$(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/python -m pip --disable-pip-version-check --quiet install --upgrade pip
	$(DOCS_VENV)/bin/python -m pip --disable-pip-version-check --quiet install --group docs
	touch $@
