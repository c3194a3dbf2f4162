# make serve | test | check | fix: each makes .venv first when it is missing. See README.md.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TORCH := $(shell grep '^torch==' constraints.txt)

# What a checkout needs is kept in it: the embedder's export, made once, serves tests and server.
export TWOFOLD_MODELS_DIR ?= $(CURDIR)/.cache/models

.PHONY: serve test test-all check fix lock clean
.DEFAULT_GOAL := serve

serve: $(READY)
	$(BIN)/twofold serve

test: $(READY)
	$(BIN)/pytest --numprocesses auto --dist worksteal

# Everything, the slow tests and those in a real browser (Debian: chromium chromium-driver) included.
test-all: $(READY)
	$(BIN)/pytest -m "not gpu"

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fix: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# torch goes first and by its exact pin, so that no other package draws in another build of it.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Twofold needs Python 3.11 or newer: make PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check "$(TORCH)"
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m serving.warm
	touch $@

lock: $(READY)
	(echo '# Exact versions that the tests ran with. `make lock` writes this file from .venv.'; \
	$(BIN)/pip freeze --exclude-editable | sed 's/+cpu$$//' | sort --ignore-case) > constraints.txt

clean:
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache dist
