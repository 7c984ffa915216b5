# `make demo` and `make test` do everything: the first call of either creates .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
READY := $(VENV)/.ready
SOURCES := setup.py pyproject.toml requirements/constraints.txt tools/dev/setup_env.py \
	$(shell find csrc -type f)

.PHONY: help setup demo test lint docs docs-tables clean

help:
	@echo "make demo   train, evaluate and draw a small detector (about 10 minutes, 2 CPU cores)"
	@echo "make test   run the tests"
	@echo "make lint   check style"
	@echo "make docs   build the documentation as a site, build/docs/index.html"
	@echo "make docs-tables  write the tables of docs/ anew from the records"
	@echo "make setup  only create .venv"
	@echo "make clean  remove .venv and build outputs"

setup: $(READY)

$(READY): $(SOURCES)
	$(PYTHON) tools/dev/setup_env.py --path $(VENV)
	@touch $@

demo: $(READY)
	$(VENV)/bin/python tools/dev/demo.py

test: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/python -m pytest

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

docs: $(READY)
	$(VENV)/bin/python -m sphinx -q -W -b html docs build/docs
	@echo "build/docs/index.html"

docs-tables: $(READY)
	$(VENV)/bin/python tools/dev/docs_tables.py

clean:
	rm -rf $(VENV) build mmhadaptive.egg-info
