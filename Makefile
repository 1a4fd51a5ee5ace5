PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
BENCH  := .venv-bench
NEWER  ?= python3.13

.DEFAULT_GOAL := help
.PHONY: help install demo test attack torture check fix docs bench dist wheel lowest newest newer clean

help:  ## Show what make can do here
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

install: $(VENV)/.installed  ## Create .venv and install aecli into it, editable, with the developers' tools

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: install  ## Train, encode and plot on the embedded digits; ends by naming the picture
	$(BIN)/aecli train -o runs/demo --force
	$(BIN)/aecli encode runs/demo --force
	$(BIN)/aecli plot runs/demo --force

test: install  ## Run the tests
	# Of the hundreds of processes that they start none has to compile the sources.
	$(BIN)/python -m compileall -q aecli
	$(BIN)/python -m pytest -n auto --dist worksteal

attack: install  ## Throw all that is bad at aecli: it must end in one line or in work; takes 25 minutes
	$(BIN)/python -m tests.attack

torture: install  ## Kill aecli hundreds of times, let commands race, and check that nothing is lost; takes half an hour
	$(BIN)/python -m tests.torture --calls --train 200 --encode 100 --plot 50 --races 100 --processes 40

check: install  ## Lint, format check, strict types, whether the page of commands is stale, and the map's scripts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tests.reference --check
	$(BIN)/python -m tests.lint_page

docs: install  ## Write the page of commands from the commands
	$(BIN)/python -m tests.reference

fix: install  ## Let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(BENCH)/.installed  ## Measure against peers side by side; needs MNIST (AECLI_DATA_DIR)
	$(BENCH)/bin/python -m tests.bench
	$(BENCH)/bin/python -m tests.bench.maps

$(BENCH)/.installed: pyproject.toml
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --editable '.[bench]'
	touch $@

dist:  ## Build the wheel and the sdist, and check them as the package index would
	rm -rf dist build/publish
	$(PYTHON) -m venv build/publish
	build/publish/bin/python -m pip install --quiet build twine
	build/publish/bin/python -m build --outdir dist
	build/publish/bin/python -m twine check --strict dist/*

wheel: dist  ## Install the wheel into an empty environment, and train on the digits there
	rm -rf build/wheel
	$(PYTHON) -m venv build/wheel
	build/wheel/bin/python -m pip install --quiet dist/*.whl
	cd build/wheel && bin/aecli train --recipe plain --epochs 2 -o run && bin/aecli encode run

lowest:  ## Run the tests with the lowest versions that pyproject.toml allows
	$(call resolve,lowest,$(PYTHON),lowest-direct)
	build/lowest/bin/python -m pytest -n auto --dist worksteal

newest:  ## Run the tests with the newest versions of everything, installed anew
	$(call resolve,newest,$(PYTHON),highest)
	build/newest/bin/python -m pytest -n auto --dist worksteal

newer:  ## Run the tests with another Python: make newer NEWER=python3.14
	$(call resolve,newer,$(NEWER),highest)
	build/newer/bin/python -m pytest -n auto --dist worksteal

# An environment of its own, whose packages uv chooses: pip knows no lowest versions.
define resolve
	rm -rf build/$(1)
	$(2) -m venv build/$(1)
	build/$(1)/bin/python -m pip install --quiet uv
	build/$(1)/bin/uv pip install --quiet --python build/$(1)/bin/python --resolution $(3) --editable '.[dev]'
endef

clean:  ## Remove the virtual environments, caches and demo runs
	rm -rf $(VENV) $(BENCH) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis runs/demo
	find aecli tests -name __pycache__ -prune -exec rm -rf {} +
