# Needs Python 3.11 to 3.13, git and make. Everything else is set up here.
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
SHELL  := /bin/bash -o pipefail
VENV   ?= .venv
BIN    := $(VENV)/bin
LOCKS  := requirements
export UV_PYTHON_DOWNLOADS = never
export UV_NO_PROGRESS = 1
export UV_LINK_MODE = copy
export UV_COMPILE_BYTECODE = 1
unexport PYTHONDONTWRITEBYTECODE
# Both: without bytecode every process compiles all that it imports, which takes longer than most commands.
export DAGSTER_DISABLE_TELEMETRY = 1
# The first interpreter that really runs and is new enough: a pyenv shim can exist and fail.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do $$p -c 'import sys; raise SystemExit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
SUDO   := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

help: ## list what can be done
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 14

$(BIN)/uv: $(LOCKS)/uv.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11 to 3.13 found. Install one, or say: make PYTHON=/path/to/python3.11"; exit 3; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv >/dev/null; \
	  else echo "Python's venv is missing: sudo apt-get install python3-venv"; exit 3; fi; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r $<
	@touch $@

# run.txt is a subset of dev.txt, at the same versions: dev serves both.
$(VENV)/.run: $(LOCKS)/run.txt pyproject.toml | $(BIN)/uv
	@test -e $(VENV)/.dev || VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install -q --no-deps --require-hashes -r $<
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install -q --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(LOCKS)/dev.txt pyproject.toml | $(BIN)/uv
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip sync -q --require-hashes $<
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install -q --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.run

.PHONY: help setup run dev test test-long test-all lint fix bench lock check-locks system hooks clean
setup: $(VENV)/.run ## prepare .venv, with the mesh command at .venv/bin/mesh

run: $(VENV)/.run ## set everything up, run the shipped mesh, say where to look
	$(BIN)/mesh run --pipeline launch_dashboard
	$(BIN)/mesh run
	@echo
	@echo "Look at it:   $(BIN)/mesh status"
	@echo "              $(BIN)/mesh pipeline show launch_dashboard"
	@echo "              $(BIN)/mesh sql 'from launch_analytics.weekly_report limit 5'"
	@echo "In Dagster:   $(BIN)/mesh dev     then open http://127.0.0.1:3000/asset-groups"

dev: $(VENV)/.run ## Dagster's web server and daemon for the shipped mesh
	$(BIN)/mesh dev

PYTEST := $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder
# Three at once on two cores: some tests only wait.
test: $(VENV)/.dev ## set everything up, then the tests, without those that take long
	@$(MAKE) --no-print-directory system axe hyparquet odps
	$(PYTEST) -n 3 -m "not slow and not long"

test-long: $(VENV)/.dev ## the tests that take long: faults, restarts, whole pages of the documentation
	@$(MAKE) --no-print-directory system axe hyparquet odps
	$(PYTEST) -n 3 -m "long and not slow"

test-all: $(VENV)/.dev ## all tests: these, those, and the slow ones of many minutes
	@$(MAKE) --no-print-directory system axe hyparquet odps
	$(PYTEST) -n 2

lint: $(VENV)/.dev ## ruff, ty, import-linter
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/ty check mesh_assets
	$(BIN)/lint-imports

fix: $(VENV)/.dev ## format, and mend what ruff can mend
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

# Small sizes; docs/reference/benchmarks.md says how to run them in full.
bench: $(VENV)/.dev ## run the benchmarks, in small sizes
	$(BIN)/python bench/check_1000.py 1000 1
	$(BIN)/python bench/load.py 100 1 --chain 1000
	$(BIN)/python bench/order.py 1000
	$(BIN)/python bench/tick.py 1000
	$(BIN)/python bench/makespan.py 1 --domains 2 --seconds 0.2
	$(BIN)/python bench/impact.py 400 --rounds 1 --changes 8 --run 40
	$(BIN)/python bench/latency.py 1
	$(BIN)/python bench/audit.py --rows 20000 --runs 1
	$(BIN)/python bench/peers.py --rows 20000 --only ours,touch,20
	$(BIN)/python bench/keys.py --rows 100000
	$(BIN)/python bench/small.py --tables 20
	$(BIN)/python bench/suggest.py --rows 300000 --runs 1
	$(BIN)/python bench/quarantine.py --waiting 10000
	$(BIN)/python bench/publish.py
	$(BIN)/python bench/writers.py --times 5
	$(BIN)/python bench/portal.py 10 10 3
	$(BIN)/python bench/verdicts.py --rows 20000 --runs 1
	$(BIN)/python bench/kitchen.py --large 8 --files 500 --rows 20000 --runs 1

hooks: $(VENV)/.dev ## run the linters before each commit
	$(BIN)/prek install

# PostgreSQL, Chromium and npm, from Debian's packages (does nothing where they are).
APT := $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold -o Dpkg::Options::=--force-unsafe-io
system:
	@wanted=""; ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || wanted="postgresql"; \
	command -v chromium chromium-browser google-chrome >/dev/null 2>&1 || wanted="$$wanted chromium"; \
	command -v npm >/dev/null 2>&1 || wanted="$$wanted npm"; \
	test -z "$$wanted" || if command -v apt-get >/dev/null && { [ "$$(id -u)" = 0 ] || [ -n "$$CI" ]; }; then \
	  $(SUDO) mkdir -p /etc/postgresql-common && { [ -e /etc/postgresql-common/createcluster.conf ] || echo 'create_main_cluster = false' | $(SUDO) tee /etc/postgresql-common/createcluster.conf >/dev/null; }; \
	  $(SUDO) apt-get update -qq && $(APT) $$wanted >/dev/null; \
	else echo "note: tests that need$${wanted:+ }$$wanted will be skipped"; fi

# axe-core judges the portal's pages; a file for tests only, checked against its hash.
AXE := 4.14.1
axe:
	@test -e $(VENV)/axe-$(AXE).min.js || { cd $(VENV) && npm pack --silent axe-core@$(AXE) >/dev/null && tar xzf axe-core-$(AXE).tgz package/axe.min.js \
	  && echo "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c  package/axe.min.js" | sha256sum -c --quiet && mv package/axe.min.js axe-$(AXE).min.js && rm -rf package axe-core-$(AXE).tgz; } \
	|| echo "note: axe-core could not be fetched; its tests will be skipped"

# Parquet in plain JavaScript, for the tests of programs in Node; two files for tests only, checked against their hashes.
HYPARQUET := hyparquet-1.31.5 hyparquet-writer-0.17.0
hyparquet:
	@test -e $(VENV)/node_modules/hyparquet-writer || { cd $(VENV) && npm pack --silent hyparquet@1.31.5 hyparquet-writer@0.17.0 >/dev/null \
	  && printf '%s\n' "5fb6b118fcbc4575771204acd0aa5cab532f40be92339094b7cc756d79830ab5  hyparquet-1.31.5.tgz" "364f2735995f26456e5fb9b4a1d2e9f3733d1c5983044f40ef2608f7e0ca5dcf  hyparquet-writer-0.17.0.tgz" | sha256sum -c --quiet \
	  && mkdir -p node_modules && for p in $(HYPARQUET); do rm -rf package && tar xzf $$p.tgz && mv package "node_modules/$${p%-*}" && rm $$p.tgz || exit 1; done; } \
	|| echo "note: hyparquet could not be fetched; its test will be skipped"

# The schemas of the Open Data Product Standard; for tests only. The package itself wants another pydantic.
ODPS := 0.3.2
odps:
	@test -e $(VENV)/odps-$(ODPS)/odps-1.1.0.schema.json || { cd $(VENV) && echo "dataproduct-cli==$(ODPS) --hash=sha256:560c603812db945d236d885e6150a6327088f4eb4f0b3229bee6284f3b6ef888" > odps.txt \
	  && bin/python -m pip download -q --disable-pip-version-check --no-deps --require-hashes -d odps-wheel -r odps.txt \
	  && bin/python -c "import zipfile; zipfile.ZipFile('odps-wheel/dataproduct_cli-$(ODPS)-py3-none-any.whl').extractall('odps-wheel')" \
	  && rm -rf odps-$(ODPS) && mv odps-wheel/dataproduct/schemas odps-$(ODPS) && rm -rf odps-wheel odps.txt; } \
	|| echo "note: the schemas of ODPS could not be fetched; their tests will be skipped"

COMPILE = UV_CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate
lock: ## resolve again (UPGRADE=1 takes newer releases)
	$(COMPILE) $(if $(UPGRADE),--upgrade) pyproject.toml --extra build --extra dev -o $(LOCKS)/dev.txt
	$(COMPILE) pyproject.toml --extra build -c $(LOCKS)/dev.txt -o $(LOCKS)/run.txt
	awk '/^[a-z]/{p = /^uv==/} p' $(LOCKS)/dev.txt > $(LOCKS)/uv.txt
	@$(MAKE) --no-print-directory check-locks

check-locks: ## no lock file names a host, and there is no uv.lock
	@! grep -nE '://|--index|--find-links' $(LOCKS)/*.txt
	@! git ls-files --error-unmatch uv.lock 2>/dev/null

clean: ## remove the virtual environment and the mesh's state
	rm -rf $(VENV) .mesh
