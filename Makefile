# Two commands matter: `make run` serves, `make test` passes every test. Both set up what they need.
# `python3 -m venv --without-pip` works on a stock Debian, which lacks ensurepip; the system's own
# pip then installs into the environment, from locked and hashed requirements only.

PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(PYTHON) -m pip --python $(BIN)/python install --quiet --disable-pip-version-check

.PHONY: run test quick check sbom audit format robustness failover crowd moving screenshots fuzz bench lock clean

run: .venv/runtime
	@sh scripts/first_run.sh
	@exec $(BIN)/nightlatch serve

test: .venv/development
	$(BIN)/python -m pytest

# The inner loop: one database, nothing that takes long.
quick: .venv/development
	TEST_DATABASES=sqlite $(BIN)/python -m pytest -q -m "not slow"

check: .venv/development sbom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_schema.py

# What a server installs, as a bill of materials (CycloneDX), from the lock file; needs no network.
sbom: .venv/development
	@mkdir -p dist
	@$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible \
		--output-format JSON --output-file dist/nightlatch.cdx.json requirements.txt 2>/dev/null

# Whether any of it has a known vulnerability. Asks pypi.org; needs pip-audit (pip install pip-audit).
audit:
	pip-audit --require-hashes --disable-pip --requirement requirements.txt

format: .venv/development
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# A million calls on each database, under faults. Each run prints its seed; ROBUSTNESS="--seed 7" repeats it.
robustness: .venv/development
	$(BIN)/python -m tests.robustness --database sqlite --operations 1000000 $(ROBUSTNESS)
	$(BIN)/python -m tests.robustness --database postgresql-18 --operations 1000000 $(ROBUSTNESS)

# 200 failovers, half an hour; a longer lease is trusted longer after a promotion. FAILOVER="--seed 7" repeats one.
failover: .venv/development
	$(BIN)/python -m tests.failover --failovers 100 $(FAILOVER)
	$(BIN)/python -m tests.failover --failovers 100 --lease 1000 $(FAILOVER)

# 50 processes with 4 threads each share a token through the client: 20,000 requests, on Nightlatch and on knox, four times.
crowd: .venv/development
	$(BIN)/python -m tests.client $(CROWD)

# 1,000 organizations and 20,000 tokens that three versions of knox have made move in.
moving: .venv/development
	TEST_MOVING_SCALE=10 $(BIN)/python -m pytest tests/test_moving_in.py -k every_live

# Pictures of the console's pages into docs/console, and how soon each page is seen.
screenshots: .venv/development
	$(BIN)/python -m tests.console --pictures docs/console --times

# Ten million inputs, led by coverage; five minutes. FUZZ="--inputs 100000" is shorter.
fuzz: .venv/benchmarks
	$(BIN)/python -m tests.fuzz $(FUZZ)

# BENCH="verify --seconds 2" measures less; `python -m bench --help` lists the sections.
bench: .venv/benchmarks
	$(BIN)/python -m bench $(BENCH)

# Needs pip-tools (pip install pip-tools); no index is named in what it writes.
LOCK := pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links \
	--no-emit-trusted-host --no-emit-options --strip-extras --no-header --all-build-deps --allow-unsafe
lock:
	$(LOCK) -o requirements.txt pyproject.toml
	$(LOCK) --extra dev -c requirements.txt -o requirements-dev.txt pyproject.toml
	$(LOCK) --extra bench -c requirements-dev.txt -o requirements-bench.txt pyproject.toml

.venv/bin/python:
	$(PYTHON) -m venv --without-pip .venv

.venv/runtime: requirements.txt pyproject.toml | .venv/bin/python
	$(INSTALL) --require-hashes -r requirements.txt
	$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

.venv/development: requirements-dev.txt pyproject.toml clients/python/pyproject.toml | .venv/bin/python
	$(INSTALL) --require-hashes -r requirements-dev.txt
	$(INSTALL) --no-deps --no-build-isolation -e . -e clients/python
	@touch $@

.venv/benchmarks: requirements-bench.txt .venv/development
	$(INSTALL) --require-hashes -r requirements-bench.txt
	@touch $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis dist build
