# The two commands of the README: `make demo` and `make test`. Each makes .venv if it is missing.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# A process a core, each on one thread: several threads in each would wait for one another.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

.PHONY: demo test unit test-torchforce lint bench figures clean

demo: $(VENV)/.installed
	$(BIN)/openmm-cgvae demo --overwrite

test: $(VENV)/.installed lint
	$(PYTEST)

# The fast tests only: no example, no subprocess that trains.
unit: $(VENV)/.installed
	$(PYTEST) -m "not slow"

# What touches TorchForce, and the bundled models, in an environment with the torch that openmmtorch is built for.
test-torchforce: $(VENV)-torchforce/.installed
	$(VENV)-torchforce/bin/python -c "import torch, openmmtorch"
	$(VENV)-torchforce/bin/python -m pytest tests/app/test_cgforce.py tests/app/test_learned.py tests/test_pretrained.py

lint: $(VENV)/.installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check

# The picture of the README.
figures: demo
	cp demo_output/ramachandran.png docs/ramachandran.png

# Parts can be chosen: make bench PARTS="sampling training".
bench: $(VENV)/.installed
	$(BIN)/python benchmarks/run.py $(PARTS)

# torch first and pinned: an open range would bring the newest build with several GB of CUDA.
$(VENV)/.installed: setup.py constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

# Several GB: PyPI's torch with CUDA, which openmmtorch is linked against.
$(VENV)-torchforce/.installed: setup.py constraints-torchforce.txt
	test -d $(VENV)-torchforce || $(PYTHON) -m venv $(VENV)-torchforce
	$(VENV)-torchforce/bin/python -m pip install --quiet --constraint constraints-torchforce.txt --editable '.[test,torchforce]'
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-torchforce demo_output build *.egg-info
