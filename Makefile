# make demo     install, train a VAE and a CVAE on three toy sets, say where images and reports lie
# make test     install what the tests need and run every check
# make help     all targets

PYTHON ?= python3
VENV ?= .venv

# The version that the tests run against. It is installed first, so that nothing that comes later chooses another one.
TORCH ?= torch==2.13.0

# On a plain Linux machine pip installs PyTorch's CUDA build: about 15 more packages and several gigabytes, of no use
# without an NVIDIA GPU. The CPU build is a tenth of that. To get it, say where pip finds it, with the address that
# PyTorch's installation page shows for "CPU":
#
#     make test TORCH_FLAGS='--index-url ADDRESS'
#
# The flags go to the one command that installs TORCH. macOS and Windows need none: there pip's build is the CPU's.
TORCH_FLAGS ?=

BIN := $(VENV)/bin
# Without --no-compile pip compiles every file of PyTorch, of which few are ever imported.
PIP := $(BIN)/python -m pip install -qq --no-compile

# Where Python may not keep what it compiled, each of the hundreds of programs that the tests start compiles PyTorch anew.
unexport PYTHONDONTWRITEBYTECODE

# Networks as small as those of the tests and the demo are fastest on one thread each.
export OMP_NUM_THREADS ?= 1

.PHONY: help demo test suite versions fmt lint types docs bench guard clean
.DEFAULT_GOAL := help

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

demo: $(VENV)/.base  ## train a VAE and a CVAE on moons, circles and blobs
	@$(BIN)/python examples/demo.py

# Side by side, as each leaves a core idle at times.
test: $(VENV)/.test  ## run every check: what CI runs
	@$(MAKE) --no-print-directory -j 4 suite types lint guard

# Two processes that test share the cores; threads beside these only wait for each other.
suite: $(VENV)/.test  ## run the tests alone
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --doctest-modules src tests README.md docs main.py

versions:  ## run every check with each Python from 3.11 to 3.13 that is installed
	@for version in 3.11 3.12 3.13; do \
	  if python$$version -c '' 2>/dev/null; then \
	    $(MAKE) test PYTHON=python$$version VENV=.venv-$$version || exit 1; \
	  else echo "python$$version is not installed: not tested"; fi; \
	done

fmt: $(VENV)/.test  ## format the code and fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lint: $(VENV)/.test  ## check style, formatting and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.test  ## check types
	$(BIN)/mypy

docs: $(VENV)/.test  ## build the documentation site into build/docs; a warning is an error
	$(BIN)/sphinx-build -q -W --keep-going -b html docs build/docs
	@echo "Open build/docs/index.html"

bench: $(VENV)/.test  ## measure the speed of training beside a hand-written loop (minutes; use a quiet machine)
	$(BIN)/python benchmarks/speed.py

guard: $(VENV)/.test  ## show that no extra would replace torch or bring CUDA packages
	$(BIN)/python tests/guard.py

clean:  ## remove the environments and everything that was built
	rm -rf .venv .venv-3.* build dist

# Debian keeps ensurepip in a package of its own (python3-venv). Without it, the system's pip puts pip into the new
# environment.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sfumato needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	@echo "Creating $(VENV)"
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { rm -rf $(VENV) && $(PYTHON) -m venv --without-pip $(VENV) \
	  && $(PYTHON) -m pip --python $(BIN)/python install -qq pip; } || { rm -rf $(VENV); exit 1; }

$(VENV)/.torch: | $(BIN)/python
	@echo "Installing $(TORCH) into $(VENV) (a minute or two; on Linux see TORCH_FLAGS in the Makefile)"
	@$(PIP) $(TORCH_FLAGS) '$(TORCH)'
	@touch $@

$(VENV)/.base: pyproject.toml $(VENV)/.torch
	@echo "Installing sfumato into $(VENV)"
	@$(PIP) '$(TORCH)' -e .
	@touch $@

$(VENV)/.test: pyproject.toml $(VENV)/.torch
	@echo "Installing sfumato and what tests and documentation need into $(VENV) (a minute or two)"
	@$(PIP) '$(TORCH)' -e '.[test,docs]'
	@touch $(VENV)/.base $@
