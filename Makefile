# The two commands of the README: `make demo` and `make test`. Each makes .venv if it is missing.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Python compiles what is imported; pip would compile all there is, which takes minutes.
INSTALL := -m pip install --quiet --no-compile
# The suite runs against the installed wheel: from an empty folder, so that no path leads to the checkout's package.
# A process a core, each on one thread: several threads in each would wait for one another.
FOLDER := build/test
PYTEST = mkdir -p $(FOLDER) && cd $(FOLDER) && env -u PYTHONPATH OPENMM_CGVAE_INSTALLED=1 OMP_NUM_THREADS=1 \
	$(abspath $(1))/bin/python -m pytest --rootdir $(CURDIR) --config-file $(CURDIR)/pyproject.toml
PARALLEL := -n auto --maxprocesses 4 --dist worksteal
# Folders too: their times tell of files that are gone.
SOURCES := pyproject.toml setup.py README.md $(shell find openmm_cgvae -name __pycache__ -prune -o -print)

.PHONY: demo test unit durations test-oldest test-torchforce lint bench fuzz dist docs figures clean

demo: $(VENV)/.installed
	$(BIN)/openmm-cgvae demo --overwrite

test: $(VENV)/.installed lint
	$(call PYTEST,$(VENV)) $(PARALLEL) $(CURDIR)/tests

# The fast tests only: no example, no subprocess that trains, nothing over half a second.
unit: $(VENV)/.installed
	$(call PYTEST,$(VENV)) $(PARALLEL) -m "not slow and not long" $(CURDIR)/tests

# Which tests those are: tests/long.txt.
durations: $(VENV)/.installed
	$(call PYTEST,$(VENV)) $(PARALLEL) --write-long $(CURDIR)/tests

# The fast tests with the lowest versions that pyproject.toml allows (several GB: PyPI's torch with CUDA).
OLDEST_PYTHON ?= python3.10
test-oldest: $(VENV)-oldest/.installed
	$(call PYTEST,$(VENV)-oldest) $(PARALLEL) -m "not slow" $(CURDIR)/tests

# What touches TorchForce, and the bundled models, in an environment with the torch that openmmtorch is built for.
TORCHFORCE_TESTS := cg/test_force.py cg/test_learned.py pretrained/test_pretrained.py
test-torchforce: $(VENV)-torchforce/.installed
	$(VENV)-torchforce/bin/python -c "import torch, openmmtorch"
	$(call PYTEST,$(VENV)-torchforce) $(addprefix $(CURDIR)/tests/,$(TORCHFORCE_TESTS))

lint: $(VENV)/.installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# 10,000 damaged files of every format; repeat the command to go on.
fuzz: $(VENV)/.installed
	$(BIN)/python benchmarks/fuzz.py $(FUZZ)

# Wheel and sdist as they are published, checked.
dist: $(VENV)/.installed
	$(BIN)/python $(INSTALL) build twine
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m twine check --strict dist/*

# The documentation: build/site/index.html.
docs: $(VENV)/.installed
	$(BIN)/python -m mkdocs build --strict

# The pictures of the documentation.
figures: demo
	cp demo_output/ramachandran.png docs/ramachandran.png
	$(BIN)/python benchmarks/picture.py docs/protein.png

# Parts can be chosen: make bench PARTS="sampling training".
bench: $(VENV)/.installed
	$(BIN)/python benchmarks/run.py $(PARTS)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# build/lib keeps files that are gone from the sources.
build/wheel/.built: $(SOURCES) | $(VENV)/bin/python
	rm -rf build/lib build/bdist.* build/wheel
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir build/wheel .
	touch $@

# torch first and pinned: an open range would bring the newest build with several GB of CUDA. The last line is for a
# wheel of the same version number, which pip would take as installed.
$(VENV)/.installed: build/wheel/.built constraints.txt
	$(BIN)/python $(INSTALL) --constraint constraints.txt torch
	$(BIN)/python $(INSTALL) --constraint constraints.txt "$$(ls build/wheel/*.whl)[test]"
	$(BIN)/python $(INSTALL) --no-deps --force-reinstall build/wheel/*.whl
	touch $@

# Several GB: PyPI's torch with CUDA, which openmmtorch is linked against.
$(VENV)-torchforce/.installed: build/wheel/.built constraints-torchforce.txt
	test -d $(VENV)-torchforce || $(PYTHON) -m venv $(VENV)-torchforce
	$(VENV)-torchforce/bin/python $(INSTALL) --constraint constraints-torchforce.txt \
		"$$(ls build/wheel/*.whl)[test,torchforce]"
	$(VENV)-torchforce/bin/python $(INSTALL) --no-deps --force-reinstall build/wheel/*.whl
	touch $@

$(VENV)-oldest/.installed: build/wheel/.built constraints-oldest.txt
	test -d $(VENV)-oldest || $(OLDEST_PYTHON) -m venv $(VENV)-oldest
	$(VENV)-oldest/bin/python $(INSTALL) --constraint constraints-oldest.txt "$$(ls build/wheel/*.whl)[test]"
	$(VENV)-oldest/bin/python $(INSTALL) --no-deps --force-reinstall build/wheel/*.whl
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-oldest $(VENV)-torchforce demo_output build *.egg-info
