# Works on a fresh machine with Python 3.11, as often as you like.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
DEMO_PORT ?= 3000
SPEED ?= 1

BIN := .venv/bin
READY := .venv/.ready
DEMO := demo/.made-$(shell date +%F)
TORCH := torch==2.13.0

.PHONY: help setup browser postgres clocks test ray lint text demo bench lock clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    a virtual clinic that lives on, and its panel (DEMO_PORT=$(DEMO_PORT) SPEED=$(SPEED))"
	@echo "make test    lint, types and tests"
	@echo "make lint    lint and types alone"
	@echo "make ray     tests of a panel's work over Ray, with the extra hybridtwin[ray]"
	@echo "make setup   the environment in .venv alone"
	@echo "make text    the catalogues of the pages' text, after a change of it"
	@echo "make bench   speeds beside those of peers, into bench.json"
	@echo "make lock    write constraints.txt anew, with the newest versions"
	@echo "make clean   remove .venv, demo and caches"

setup: $(READY)

# torch first and exactly: a range may bring several GB of GPU packages.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 is needed: make PYTHON=...")'
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt $(TORCH)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@$(BIN)/python -c 'import lightgbm' || { \
	  run=$$(test $$(id -u) -eq 0 || echo sudo -n); \
	  $$run apt-get update -qq && $$run apt-get install -qq -y libgomp1; \
	}
	touch $@

browser:
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || { \
	  run=$$(test $$(id -u) -eq 0 || echo sudo -n); \
	  $$run apt-get update -qq && $$run apt-get install -qq -y chromium chromium-driver; \
	} || echo "No chromium and chromedriver, and they cannot be installed here: install them to test the pages."

postgres:
	@command -v pg_ctl >/dev/null || ls /usr/lib/postgresql/*/bin/pg_ctl >/dev/null 2>&1 || { \
	  run=$$(test $$(id -u) -eq 0 || echo sudo -n); \
	  $$run apt-get update -qq && $$run apt-get install -qq -y postgresql; \
	} || echo "No PostgreSQL, and it cannot be installed here: install it to test the store."

clocks:
	@command -v faketime >/dev/null || { \
	  run=$$(test $$(id -u) -eq 0 || echo sudo -n); \
	  $$run apt-get update -qq && $$run apt-get install -qq -y faketime; \
	} || echo "No faketime, and it cannot be installed here: install it to test with clocks that are off."

test: lint browser postgres clocks
	$(BIN)/pytest -n logical --dist loadfile

ray: $(READY)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,ray]'
	$(BIN)/pytest tests/hybridtwin/test_panel.py

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# SPEED=60: one minute of ours is an hour of theirs.
demo: $(DEMO)
	$(BIN)/hybridtwin demo demo --port $(DEMO_PORT) --speed $(SPEED)

# A clinic is made once a day, and when the population twin changes; until then it goes on.
$(DEMO): hybridtwin/data/population/twin.json | $(READY)
	rm -rf demo
	$(BIN)/hybridtwin clinic --out demo
	$(BIN)/hybridtwin personalise --records demo/records --out demo/twins --no-log
	touch $@

# What is left without a translation afterwards fails a test.
text: $(READY)
	@mkdir -p build
	$(BIN)/pybabel -q extract -F serving/text/extract.cfg --no-location --sort-output -o build/text.pot serving
	$(BIN)/pybabel -q update -D serving -i build/text.pot -l de -o serving/text/de.po --no-fuzzy-matching --ignore-obsolete -w 96

bench: $(READY) .venv-bench/.ready
	$(BIN)/python -m tests.bench

# simglucose, which cannot live beside this project: it needs an old setuptools.
.venv-bench/.ready:
	test -x .venv-bench/bin/pip || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet simglucose==0.2.11 'setuptools<81'
	touch $@

lock:
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet $(TORCH)
	build/lock/bin/pip install --quiet --editable '.[dev,ray]'
	{ echo "# Written by make lock: every version that the project and its extras need."; \
	  build/lock/bin/pip freeze --all --exclude pip --exclude-editable | sed 's/+cpu$$//'; \
	} > constraints.txt
	rm -rf build/lock

clean:
	rm -rf .venv .venv-bench demo build .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
