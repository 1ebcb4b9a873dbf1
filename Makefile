# The two commands of the README: `make demo` and `make test`. Each makes .venv if it is missing.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test unit lint bench figures clean

demo: $(VENV)/.installed
	$(BIN)/openmm-cgvae demo --overwrite

test: $(VENV)/.installed lint
	$(BIN)/python -m pytest

# The fast tests only: no example, no subprocess that trains.
unit: $(VENV)/.installed
	$(BIN)/python -m pytest -m "not slow"

lint: $(VENV)/.installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check

# The picture of the README.
figures: demo
	cp demo_output/ramachandran.png docs/ramachandran.png

bench: $(VENV)/.installed
	$(BIN)/python benchmarks/run.py

# torch first and pinned: an open range would bring the newest build with several GB of CUDA.
$(VENV)/.installed: setup.py constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

clean:
	rm -rf $(VENV) demo_output build *.egg-info
