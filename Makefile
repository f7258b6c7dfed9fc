# make demo   install, train VAE and CVAE on three toy sets, say where pictures and reports lie
# make test   install what tests need and run every check
# make guard  show that no extra would replace torch or bring CUDA packages

PYTHON ?= python3

# Pinned, and installed before all else, so that nothing that comes later chooses another build: for this version the
# package index these commands run against holds the CPU build, which needs no CUDA packages and is a tenth of the size.
TORCH ?= torch==2.13.0

BIN := .venv/bin
PIP := $(BIN)/python -m pip install -qq

.PHONY: demo test guard clean

# One thread each is quickest for networks as small as these.
demo: export OMP_NUM_THREADS = 1
demo: .venv/.base
	@$(BIN)/python examples/demo.py

test: export OMP_NUM_THREADS = 1
test: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/guard.py
	$(BIN)/pytest -n 2 --doctest-modules src tests README.md docs main.py

guard: .venv/.test
	$(BIN)/python tests/guard.py

clean:
	rm -rf .venv build dist

# Debian keeps ensurepip in a package of its own (python3-venv). Without it, the system's pip puts pip into the new
# environment.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sfumato needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	@echo "Making .venv"
	@$(PYTHON) -m venv .venv >/dev/null 2>&1 || { rm -rf .venv && $(PYTHON) -m venv --without-pip .venv \
	  && $(PYTHON) -m pip --python $(BIN)/python install -qq pip; } || { rm -rf .venv; exit 1; }

.venv/.base: pyproject.toml | $(BIN)/python
	@echo "Installing sfumato and $(TORCH) into .venv (a minute or two)"
	@$(PIP) '$(TORCH)'
	@$(PIP) '$(TORCH)' -e .
	@touch $@

.venv/.test: pyproject.toml | $(BIN)/python
	@echo "Installing sfumato, $(TORCH) and what the tests need into .venv (a minute or two)"
	@$(PIP) '$(TORCH)'
	@$(PIP) '$(TORCH)' -e '.[test]'
	@touch .venv/.base $@
