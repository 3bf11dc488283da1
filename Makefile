# Two commands: `make demo` shows a roll, `make test` runs every check.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lint unit integration soak bench clean

demo: $(VENV)/.demo
	$(BIN)/uwsgi-reload-hook demo

test: lint unit integration

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/.test
	$(BIN)/python -m pytest --numprocesses auto tests

# Three files side by side, because a test waits for uWSGI most of its time: a third of the time that one by one takes.
integration: $(VENV)/.test
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile integration

# As many random worlds as you have patience for.
soak: $(VENV)/.test
	SOAK_EXAMPLES=$(or $(EXAMPLES),20000) $(BIN)/python -m pytest --numprocesses auto tests/rolls/test_random.py

# The figures and the pictures of docs/performance.md: takes half an hour, and wants a quiet machine.
bench: $(VENV)/.bench
	$(BIN)/python -m integration.bench

$(VENV)/.%: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
