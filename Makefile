# make demo   install, train VAE and CVAE on three toy sets, say where pictures and reports lie
# make test   install what tests need and run every check
# make guard  show that no extra would replace torch or bring CUDA packages

PYTHON ?= python3
BIN := .venv/bin

# Pinned, and installed before all else, so that nothing later chooses another build: the index these commands run
# against offers this version's CPU build, and the whole set-up stays small. Elsewhere: make TORCH='torch>=2.10' demo
TORCH ?= torch==2.13.0

.PHONY: demo test guard clean
.DELETE_ON_ERROR:

demo: .venv/.base
	@set -e; for set in moons circles blobs; do for model in vae cvae; do \
	  $(BIN)/python main.py --model name=$$model --cuda=False --dataset=$$set --run=demo-$$set-$$model-$$(date +%H%M%S); \
	done; done
	@echo; echo "Pictures and reports (open the .html files in a browser):"; \
	ls -d runs/demo-*/report.html runs/demo-*/pictures

test: export OMP_NUM_THREADS = 1
test: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2 --doctest-modules src tests README.md

guard: .venv/.test
	$(BIN)/python benchmarks/guard.py

clean:
	rm -rf .venv build dist

# Debian keeps ensurepip in a package of its own (python3-venv); without it the system's pip puts pip into the new environment.
$(BIN)/pip:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sfumato needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv >/dev/null 2>&1 || { \
	  rm -rf .venv; $(PYTHON) -m venv --without-pip .venv; \
	  $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; }

.venv/.base: pyproject.toml | $(BIN)/pip
	$(BIN)/python -m pip install --quiet '$(TORCH)'
	$(BIN)/python -m pip install --quiet '$(TORCH)' -e .
	touch $@

.venv/.test: pyproject.toml | $(BIN)/pip
	$(BIN)/python -m pip install --quiet '$(TORCH)'
	$(BIN)/python -m pip install --quiet '$(TORCH)' -e '.[test]'
	touch .venv/.base $@
