# `make demo` and `make test`, and `make lab` for the lessons. Each sets up .venv first (once).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lab notebooks lint clean

demo: $(VENV)/ready
	$(BIN)/python -m minillm demo --out runs/demo

test: $(VENV)/ready
	$(BIN)/python -m pytest

lab: $(VENV)/lab
	$(BIN)/jupyter lab --notebook-dir=.

notebooks: $(VENV)/lab # written anew from the lessons
	$(BIN)/python -m minillm notebooks

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/ready: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements.txt
	touch $@

$(VENV)/lab: $(VENV)/ready lessons/requirements.txt
	$(BIN)/python -m pip install --disable-pip-version-check -q -r lessons/requirements.txt
	touch $@

clean:
	rm -rf $(VENV) runs
