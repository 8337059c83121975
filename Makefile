# Needs Python 3.11 to 3.13, make and git; everything else goes into .venv. `make` alone lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# Where Python may write no bytecode, each process of a sweep or a test would compile all of our modules anew.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help setup sweep test test-docs test-chaos check docs docs-reference bench-ppo bench-profile bench-floor bench-probe bench-anchors bench-equivalence bench-scaling bench-gpu bench-intervals bench-diagnosis bench-wild bench-strangers bench-sb3-sweep bench-unstick bench-remedies bench-pages study-value-coef study-trainers study-stuck-run lock clean fitting-python

FITS := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
# The first that is there and fits; PYTHON=PATH on the command line chooses another.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3; do \
	"$$name" -c '$(FITS)' 2>/dev/null && echo "$$name" && break; done)
IN_VENV := .venv/bin/python
PIP_INSTALL := -m pip install --disable-pip-version-check --no-input
# Made last: a .venv without it was left half finished, and is made anew.
STAMP := .venv/complete

# All tests: in two processes, each file in one of them, so that a core waits for no other; two cores are what CI has.
IN_TWO := -n 2 --dist loadfile

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv and install requirements.lock into it; once, then only after the lock has changed

sweep: setup ## Run the quickstart sweep; with other settings: make sweep ARGS="sweep.seeds=5 resources.cpus=1"
	$(IN_VENV) sweep.py +experiment=quickstart $(ARGS)

test: check ## Check, then run all tests; only some of them: make test ARGS="tests/rl_tests -k gae"
	$(IN_VENV) -m pytest $(or $(ARGS),$(IN_TWO))

test-chaos: setup ## Every accident that a sweep must survive, with real kills; prints counts; hours
	$(IN_VENV) -m pytest tests -m chaos --chaos $(ARGS)

test-docs: setup ## Every command and example of the documentation, and the site; minutes
	$(IN_VENV) -m pytest tests/docs_tests --docs $(ARGS)

docs: setup ## Build the documentation's site in site/; a broken link fails
	NO_MKDOCS_2_WARNING=1 $(IN_VENV) -m mkdocs build --strict --quiet
	@echo "Built: site/index.html"

docs-reference: setup ## Write docs/settings.md and docs/rules.md anew from the code
	$(IN_VENV) -m docs.generate

check: setup ## Lint, format and types; no tests
	$(IN_VENV) -m ruff check .
	$(IN_VENV) -m ruff format --check .
	$(IN_VENV) -m mypy

bench-ppo: setup ## Training speed beside Stable-Baselines3, in one run; takes minutes
	$(IN_VENV) $(PIP_INSTALL) --quiet --constraint requirements.lock 'stable-baselines3>=2.9'
	$(IN_VENV) -m benchmarks.ppo $(ARGS)

bench-profile: setup ## Where the time goes, beside the core's peak, and what compiling takes; a minute
	$(IN_VENV) -m benchmarks.profile $(ARGS)

bench-floor: setup ## What the value floor costs, with and without it in turn; takes minutes
	$(IN_VENV) -m benchmarks.value_floor $(ARGS)

bench-probe: setup ## What the probe of other people's loops costs, with and without it in turn; minutes
	$(IN_VENV) $(PIP_INSTALL) --quiet --constraint requirements.lock 'stable-baselines3>=2.9'
	$(IN_VENV) -m benchmarks.probe $(ARGS)

bench-anchors: setup ## Returns beside published ones, 10 seeds each; takes an hour
	$(IN_VENV) $(PIP_INSTALL) --quiet --constraint requirements.lock 'gymnasium[box2d]>=1.2,<2'
	$(IN_VENV) -m benchmarks.anchors $(ARGS)

bench-equivalence: setup ## Learning curves beside Stable-Baselines3's, 10 seeds a side or more; takes an hour
	$(IN_VENV) $(PIP_INSTALL) --quiet --constraint requirements.lock 'gymnasium[box2d]>=1.2,<2' 'stable-baselines3>=2.9'
	$(IN_VENV) -m benchmarks.equivalence $(ARGS)

bench-scaling: setup ## What more members and steps cost, and the memory of a trial's process; a minute
	$(IN_VENV) -m benchmarks.scaling $(ARGS)

bench-gpu: setup ## What 256 members cost on a GPU beside one; without a GPU it says so
	$(IN_VENV) -m benchmarks.gpu $(ARGS)

bench-intervals: setup ## How often intervals hold, and noise is taken for a winner: the tables of docs/statistics.md; a minute and a half
	$(IN_VENV) -m benchmarks.intervals $(ARGS)

bench-diagnosis: setup ## How good the diagnosis is: planted faults and healthy runs; trains for most of an hour once, then minutes
	$(IN_VENV) -m benchmarks.diagnosis --train $(ARGS)
	$(IN_VENV) -m benchmarks.diagnosis $(ARGS)

bench-wild: setup ## How good the diagnosis is on strangers' runs, which are no part of the repository; seconds
	$(IN_VENV) -m benchmarks.wild $(ARGS)

bench-strangers: setup ## How good the diagnosis is on Stable-Baselines3 with faults that people make; trains for an hour once, then a minute
	$(IN_VENV) $(PIP_INSTALL) --quiet --constraint requirements.lock 'stable-baselines3>=2.9'
	$(IN_VENV) -m benchmarks.strangers --train $(ARGS)
	$(IN_VENV) -m benchmarks.strangers $(ARGS)

bench-sb3-sweep: setup ## What a sweep of Stable-Baselines3 costs beside Stable-Baselines3 alone; a quarter of an hour
	$(IN_VENV) $(PIP_INSTALL) --quiet --constraint requirements.lock 'stable-baselines3>=2.9'
	$(IN_VENV) -m benchmarks.sb3_sweep $(ARGS)

bench-unstick: setup ## How many broken runs the unstick mends by its own prescriptions; half an hour once, then seconds
	$(IN_VENV) -m benchmarks.unstick $(ARGS)

bench-remedies: setup ## What the first remedy of each planted fault's diagnosis brings, fault left in; half an hour once, then seconds
	$(IN_VENV) -m benchmarks.remedies $(ARGS)

bench-pages: setup ## How long the pages of MLflow and the dashboard take to show 50 trials; a few minutes, needs Chromium
	$(IN_VENV) -m benchmarks.pages $(ARGS)

study-value-coef: setup ## What value_coef does: the tables of docs/studies/value_coef.md; ten minutes, ARGS=--quick seconds
	$(IN_VENV) -m benchmarks.value_coef $(ARGS)

study-trainers: setup ## Stable-Baselines3 and CleanRL, broken by a setting and unstuck: docs/studies/sb3.md, cleanrl.md; a quarter of an hour
	$(IN_VENV) -m benchmarks.trainers sb3 $(ARGS)
	$(IN_VENV) -m benchmarks.trainers cleanrl $(ARGS)

study-stuck-run: setup ## The run this project began with, shown by three planted faults: the tables of docs/studies/stuck_run.md; ARGS=--quick seconds
	$(IN_VENV) -m benchmarks.stuck_run $(ARGS)

# What differs between machines is left out: local versions (+cpu), and the GPU libraries that torch pins by itself.
lock: fitting-python ## Renew requirements.lock from the ranges in pyproject.toml
	@scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	echo "Installing what pyproject.toml asks for, and its extra dev, into a fresh environment"; \
	"$(PYTHON)" -m venv "$$scratch/venv"; \
	"$(PYTHON)" -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	print(*project["dependencies"], *project["optional-dependencies"]["dev"], sep="\n")' > "$$scratch/ranges"; \
	"$$scratch/venv/bin/python" $(PIP_INSTALL) --requirement "$$scratch/ranges"; \
	sed '/^[^#]/,$$d' requirements.lock > "$$scratch/lock"; \
	"$$scratch/venv/bin/python" -m pip freeze --exclude pip \
		| sed -E 's/\+[[:alnum:].]+$$//' | grep -vE '^(nvidia-|cuda-|triton==)' >> "$$scratch/lock"; \
	cp "$$scratch/lock" requirements.lock; \
	echo "Renewed requirements.lock. Next: git diff requirements.lock, and make test"

clean: ## Remove .venv and the caches; runs/ stays
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# pip would compile with one core, and the packages' own tests too; some files are templates, which no Python compiles.
$(STAMP): requirements.lock
	@if [ ! -e $@ ]; then \
		$(MAKE) --no-print-directory fitting-python; \
		echo "Making .venv with $(PYTHON)"; \
		"$(PYTHON)" -m venv --clear .venv; \
	fi
	@echo "Installing requirements.lock into .venv; the first time this takes minutes and 2 GB"
	$(IN_VENV) $(PIP_INSTALL) --no-compile --requirement requirements.lock
	@echo "Compiling the packages to bytecode, on all cores"
	@$(IN_VENV) -m compileall -q -q -j 0 -x '/tests?/' .venv/lib || true
	@touch $@

fitting-python:
	@"$(PYTHON)" -c '$(FITS)' 2>/dev/null || { \
		echo "Python 3.11, 3.12 or 3.13 with its venv module is needed, got '$(PYTHON)'; install one" \
			"(Debian, Ubuntu: python3.11 and python3.11-venv), or name one: make setup PYTHON=PATH" >&2; \
		exit 2; \
	}
