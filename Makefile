# Everything runs in .venv, made from requirements.lock with the first target that needs it.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check

.PHONY: demo up test bench soak storm storm-controls interleave fuzz check screenshots translations lock clean

demo: .venv/.installed
	@$(BIN)/spp demo

up: .venv/.installed
	@$(BIN)/spp up

test: .venv/.installed .venv/.browser
	@$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

bench: .venv/.installed
	@$(BIN)/python -m bench.run

# Ten minutes of load, or SECONDS=120.
soak: .venv/.installed
	@$(BIN)/python -m bench.soak $(SECONDS)

# Ten minutes of faults on the real stack, or SECONDS=60; SEED=7 draws the same storm again.
storm: .venv/.installed
	@$(BIN)/python -m bench.storm $(SECONDS) $(if $(SEED),--seed $(SEED))

# The storm without each protection in turn: each has to be noticed.
storm-controls: .venv/.installed
	@$(BIN)/python -m bench.storm $(or $(SECONDS),45) $(if $(SEED),--seed $(SEED)) --controls

# A thousand interleavings of the statements of two to four sessions, or N=100000; SEED=7 draws the same again.
interleave: .venv/.installed
	@$(BIN)/python -m bench.interleaving $(N) $(if $(SEED),--seed $(SEED))

# Ten minutes of hostile input, or SECONDS=60; SEED=7 draws the same requests again.
fuzz: .venv/.installed .venv/.fuzzer
	@$(BIN)/python -m bench.fuzz $(SECONDS) $(if $(SEED),--seed $(SEED))

check: .venv/.installed
	@$(BIN)/python -m pip --disable-pip-version-check check
	@$(BIN)/ruff check --no-cache .
	@$(BIN)/ruff format --no-cache --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m local.check_migrations

# The pictures in docs/img, from sample data on servers of their own.
screenshots: .venv/.installed .venv/.browser
	@$(BIN)/python -m tests.browser.screenshots

# The catalogues of the pages' texts: what is new is added, and named if it has no translation yet.
translations: .venv/.installed
	@$(BIN)/python -m local.translations

# The newest releases that pyproject.toml allows, for every platform and all extras.
lock:
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) install uv
	@$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --all-extras --generate-hashes \
		--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' \
		--output-file requirements.lock pyproject.toml

# What the demo keeps in .spp is data, and stays.
clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.installed: requirements.lock pyproject.toml
	@echo "Installing into .venv ..."
	@$(PYTHON) -m venv .venv
	@$(PIP) install --require-hashes --requirement requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# A Chromium, the system's or one installed now; without one, `make test` goes on and skips the tests in a browser.
.venv/.browser: .venv/.installed
	@if $(BIN)/python -m tests.browser.chromium; then touch $@; fi

# What guides the fuzzer; it does without where there is none for this machine.
.venv/.fuzzer: requirements-fuzz.lock .venv/.installed
	@$(PIP) install --only-binary :all: --require-hashes --requirement requirements-fuzz.lock || true
	@touch $@
