# kquant: `make run` trades one simulated day, `make test` runs the tests. Nothing else is needed.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: run test fuzz exhaustive rough soak mutants lint setup bench clean

run: setup
	$(BIN)/kquant run --profile demo --speed max

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile

fuzz: setup
	KQUANT_FUZZ=full $(BIN)/python -m pytest tests/fuzz

# Every sequence of DEPTH steps around an order or two: at 8 a quarter of an hour for a buy, hours for a replacement.
exhaustive: setup
	KQUANT_EXHAUSTIVE=$(or $(DEPTH),8) $(BIN)/python -m pytest tests/money/test_exhaustive.py -k every_sequence

# SEEDS whole days of a small market, of the demo's and of the recorded one, each with a bit of everything that can go
# wrong; FROM the first seed.
rough: setup
	ROUGH_DAYS=$(or $(SEEDS),10) ROUGH_FROM=$(or $(FROM),1) $(BIN)/python -m pytest tests/faults/test_rough.py tests/e2e/test_rough_days.py -n 2

# KILLS processes killed at marked points of small days (tests/soak); go on with the same command, begin anew without data/soak.
soak: setup
	$(BIN)/python -m tests.soak --kills $(or $(KILLS),200)

# Known bugs, one at a time, in a private copy: the tests must see each. Writes bench/MUTANTS.md; ONLY picks some by words.
mutants: setup
	$(BIN)/python -m bench.mutants $(if $(ONLY),--only "$(ONLY)")

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

setup: $(STAMP)

$(STAMP): requirements/build.txt requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/build.txt -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	touch $(STAMP)

bench: setup
	$(BIN)/python -m bench

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
