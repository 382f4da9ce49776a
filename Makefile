# One-liners; `.ci/run` calls the same ones as the README. Each target sets up what it needs and prints its time.
SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help setup run test test-kafka test-faults simulate bench bench-latency lint docs-check clean

# The fastest of the interpreters here that will do; name another with PYTHON=.
PYTHON ?= $(or $(shell .ci/python),python3)
BIN := .venv/bin
READY := .venv/.ready
INSTALLED := .venv/.installed
SOURCES := $(shell find features models alerts streams policies schemas -name '*.py' -o -name '*.toml' -o -name '*.json')
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check
KAFKA_LIBS := build/kafka-libs
PYTEST := $(BIN)/python -m pytest --timeout=300
# $(call timed,name,command): runs the command, prints "name: N s", keeps the command's status.
timed = @start=$$SECONDS; status=0; ( set -euo pipefail; $(2) ) || status=$$?; echo "$(1): $$((SECONDS - start)) s"; exit $$status

help:
	@echo "make setup       create .venv with everything (once; called by the others)"
	@echo "make run         the demo: embedded broker, simulated town, worker, learner; Ctrl-C ends it"
	@echo "make test        all tests a fresh machine can run, the embedded broker included"
	@echo "make test-kafka  integration tests against Apache Kafka (needs Java 17 and Maven)"
	@echo "make test-faults breaks a real deployment on Apache Kafka, three minutes; FULL=1: all of it, half an hour"
	@echo "make simulate    10,000 seeds of the simulated commit protocol (seven minutes)"
	@echo "make bench       all figures of docs/performance.md, into benchmarks/results; ends with one JSON line (20 minutes)"
	@echo "make bench-latency  event to alert on both brokers, into benchmarks/results (five minutes; as test-kafka)"
	@echo "make lint        ruff and mypy"
	@echo "make docs-check  examples in docstrings"
	@echo "make clean       remove .venv and build"

setup: $(INSTALLED)
	@:

# The command runs an installed copy: what was pulled or edited since must get into it.
$(INSTALLED): $(READY) $(SOURCES)
	$(call timed,install,$(PIP) --no-deps -e . && touch $@)

$(READY): pyproject.toml
	@command -v $(PYTHON) >/dev/null && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Riskshift needs Python 3.11 or newer, found: $$($(PYTHON) --version 2>&1)." \
	  "Install it (apt-get install python3.11-venv), or name one: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) cannot make environments: sudo apt-get install python3-venv" >&2; exit 1; }
	$(call timed,setup,$(PYTHON) -m venv .venv && $(PIP) -e '.[dev]' && touch $@)

run: setup
	@$(BIN)/riskshift demo

test: setup
	$(call timed,test,$(PYTEST) -m "not kafka")

test-kafka: setup $(KAFKA_LIBS)/.ready
	$(call timed,test-kafka,RISKSHIFT_REQUIRE_KAFKA=1 $(PYTEST) -m kafka)

# Each test prints its seed: FAULT_SEED=N make test-faults runs it again. -rP shows seeds and figures.
FAULTS_FULL := FAULT_KILLS=20 FAULT_POINT_KILLS=5 FAULT_BROKER_KILLS=5 FAULT_AWAY_S=45 FAULT_PAUSE_S=60 \
	FAULT_SIGTERMS=20 FAULT_PAYLOADS=1000000
FAULTS = $(PYTEST) -m faults -raP
FAULTS_APART := tests/faults/test_broker.py tests/faults/test_foreign_state.py
# Two halves at the same time, each with a broker of its own: most of it is waiting for a group to notice a death.
test-faults: setup $(KAFKA_LIBS)/.ready
	@mkdir -p build
	$(call timed,test-faults,$(if $(FULL),export $(FAULTS_FULL);) failed=0; \
	  $(FAULTS) $(FAULTS_APART) >build/test-faults.log 2>&1 & apart=$$!; \
	  $(FAULTS) tests/faults $(FAULTS_APART:%=--ignore=%) || failed=1; \
	  wait $$apart || failed=1; cat build/test-faults.log; exit $$failed)

$(KAFKA_LIBS)/.ready: tests/brokers/pom.xml
	@for tool in mvn java; do command -v $$tool >/dev/null || \
	  { echo "make test-kafka needs $$tool: sudo apt-get install maven openjdk-17-jre-headless" >&2; exit 1; }; done
	$(call timed,kafka jars,rm -rf $(KAFKA_LIBS) && mvn -q -B -f $< dependency:copy-dependencies && touch $@)

simulate: setup
	$(call timed,simulate,$(BIN)/python -m benchmarks.simulation)

# Quick: fewer rounds and shorter holds, for a look (six minutes). With java and mvn on Apache Kafka, else on the embedded broker.
bench: setup
	@$(PIP) -e '.[dev,bench]'
	@if command -v mvn >/dev/null && command -v java >/dev/null; then $(MAKE) --no-print-directory $(KAFKA_LIBS)/.ready; fi
	@$(BIN)/python -m benchmarks $(if $(QUICK),--quick)

bench-latency: setup $(KAFKA_LIBS)/.ready
	$(call timed,bench-latency,for broker in tansu kafka; do $(BIN)/python -m benchmarks.latency --broker $$broker; done)

lint: setup
	$(call timed,lint,$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy)

docs-check: setup
	$(call timed,docs-check,$(PYTEST) -q --doctest-modules features models alerts streams)

clean:
	rm -rf .venv build
