# The commands of this repository; `make help` lists them. Everything is prepared by deploy/setup.sh.
PYTHON := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-check run test chaos chaos-brokers bench bench-close bench-gateway bench-growth bench-large bench-noisy bench-peers check format clean clean-data helm monitoring reference restored sbom upgrade vendor-day

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

setup: ## virtual environment with locked dependencies, Kafka's jars, the demo's data
	@bash deploy/setup.sh

demo: setup ## bill a year of flights from end to end; safe to run again
	@$(PYTHON) -m deploy.demo

demo-check: setup ## recompute all bills of the demo independently and compare them with the invoices, line by line
	@if .venv/bin/weir status >/dev/null 2>&1; then $(PYTHON) tests/independent/bills.py; \
	else .venv/bin/weir up --detach >/dev/null; $(PYTHON) tests/independent/bills.py; code=$$?; .venv/bin/weir down; exit $$code; fi

run: setup ## start the local stack in the foreground; Ctrl-C stops all of it
	@exec .venv/bin/weir up

# Where the environment forbids it, as in many container images, each of some hundred processes compiled all it imports anew.
test check: export PYTHONDONTWRITEBYTECODE :=
test: setup ## all tests, with real Kafka and the real ClickHouse engine
	@$(PYTHON) -m pytest -n 4 --dist loadfile --no-loadscope-reorder

SEED ?= 1
FAULTS ?= 110
chaos: setup ## exactly once under fire: FAULTS=110 kills, freezes and cuts of a whole stack in an order by SEED=1; a quarter of an hour
	@$(PYTHON) -m tests.chaos --seed $(SEED) --faults $(FAULTS) --json build/chaos-$(SEED).json

helm: setup ## the Helm chart, linted, rendered and held against Kubernetes' API schemas (tools are built once; needs Go)
	@$(PYTHON) -m tests.helm

monitoring: setup ## alert rules and the dashboard's queries, run by Prometheus' own promtool (built once; needs Go)
	@$(PYTHON) -m tests.monitoring

restored: setup ## a backup comes up in an empty folder, and ClickHouse is lost and made anew of Kafka; some minutes
	@$(PYTHON) -m tests.upgrade.restored

sbom: setup ## what runs with Weir as a CycloneDX document in build/sbom.json, and a check of its licences
	@$(PYTHON) -m deploy.release

chaos-brokers: setup ## three brokers under load, of which one, and then two, are killed, restarted and away; some minutes
	@$(PYTHON) -m tests.chaos.brokers

vendor-day: setup ## a day of an AI API vendor, compared with an independent fold; three minutes
	@$(PYTHON) -m tests.vendor_day --seed $(SEED)

JAVA_PEERS := "Weir's worker" "Flink hashmap" "Flink hashmap with sink" "Flink RocksDB" "Kafka Streams"
BENCH := PYTHONPATH=tests/bench:. $(PYTHON) tests/bench
PEERS := .venv/peers/bin/python
# A stamp, since bin/python is a link to a Python older than any lock: it would be set up again each time.
.venv/peers/lock-installed: deploy/peers.lock | setup
	@$(PYTHON) -m venv --clear .venv/peers && $(PEERS) -m pip install --quiet --disable-pip-version-check --require-hashes -r deploy/peers.lock
	@touch $@

bench: setup .venv/peers/lock-installed ## the worker beside stock Faust and Quix Streams, then the whole road on this machine: under 15 minutes, JSON in build/
	@$(BENCH)/bench_compare.py --peers-python $(PEERS) --save build/bench-compare.json
	@$(BENCH)/bench_road.py --save build/bench-road.json

bench-peers: setup ## the worker beside Flink and Kafka Streams, with what each does not do: some minutes; needs Maven and a JDK
	@$(BENCH)/bench_compare.py --rounds 1 --java-peers --only $(JAVA_PEERS) --save build/bench-peers.json

bench-gateway: setup ## one gateway beside a plain FastAPI one, and under granian: some minutes
	@$(BENCH)/bench_gateway.py --save build/bench-gateway.json

bench-noisy: setup ## a quiet tenant's p99 beside each kind of noise that one tenant can make: some minutes
	@$(BENCH)/bench_noisy.py --save build/bench-noisy.json

bench-growth: setup ## what grows with history or with others, each at two sizes with the fitted growth: under 15 minutes
	@PYTHONPATH=tests/bench:. $(PYTHON) -m growth --save build/bench-growth.json

bench-large: setup ## usage queries and roll-up over 50 M records, memory by identities remembered: tens of minutes
	@$(BENCH)/bench_usage.py --save build/bench-usage.json
	@$(BENCH)/bench_memory.py

bench-close: setup ## closes of 100,000 subscriptions, the first with 10 M records, and where their time goes
	@$(PYTHON) tests/bench/bench_close.py --months 2 --save build/bench-close.json

upgrade: setup ## an upgrade tried for real: OLD=FOLDER, a checkout of the earlier release after its `make setup`; some minutes
	@$(PYTHON) -m tests.upgrade --old $(OLD)

check: setup ## formatting, lint, types, import contracts, unit tests: under a minute
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@$(PYTHON) -m pytest -q -n 2 tests/unit

format: setup ## format the code and apply the linter's safe fixes
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix .

reference: setup ## write schemas/REFERENCE.md (every field of prices, meters, plans …) and deploy/guides/settings.md, from the models
	@$(PYTHON) -m schemas.reference

clean: ## remove the virtual environment and all caches; keeps the local stack's data
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build weir.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

clean-data: ## stop the local stack and remove its data and downloads
	@if [ -x .venv/bin/weir ]; then .venv/bin/weir down; fi
	rm -rf .weir
