# `make demo` and `make test`, `make lab` for the lessons, `make site` for web pages. Each sets up .venv first (once).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SITE ?= runs/site

.PHONY: demo test lab notebooks site lint clean

demo: $(VENV)/ready
	$(BIN)/python -m minillm demo --out runs/demo

test: $(VENV)/ready # each file's tests in one of two processes
	$(BIN)/python -m pytest -n 2 --dist loadfile

lab: $(VENV)/lab # PATH: so that Jupyter's terminals find this python
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/jupyter lab --notebook-dir=.

notebooks: $(VENV)/lab # written anew from the lessons
	$(BIN)/python -m minillm notebooks

site: $(VENV)/site # all lessons executed, as web pages: runs/site/html/index.html
	$(BIN)/python site/build.py --work $(SITE)

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

$(VENV)/site: $(VENV)/lab site/requirements.txt
	$(BIN)/python -m pip install --disable-pip-version-check -q -r site/requirements.txt
	touch $@

clean:
	rm -rf $(VENV) runs
