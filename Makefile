PROFILE ?= quick
DATA ?= data
# The notebooks of smoke use one thread each.
JOBS ?= $(if $(filter %smoke,$(PROFILE)),2,1)
SNAKEMAKE_FLAGS ?=
# Processes of the test suite.
WORKERS ?= logical

# Not abspath: it takes a name with a space for two.
export COMPENDIUM_DATA := $(if $(filter /%,$(DATA)),$(DATA),$(CURDIR)/$(DATA))
RESULTS := $(or $(COMPENDIUM_RESULTS),results)
# The Pythons that requirements.lock is made for, the newest first.
SUPPORTED := 3.13 3.12 3.11
# Tried, not only looked for: pyenv has a command for every version, and only the chosen ones run.
BASE_PYTHON = $(shell for python in $(SUPPORTED:%=python%) python3; do \
  $$python -c '' 2>/dev/null && command -v $$python && break; done)
ASKED := $(if $(filter command,$(origin BASE_PYTHON)),$(BASE_PYTHON))
VENV := .venv
PYTHON := $(VENV)/bin/python
INSTALLED := $(VENV)/installed

.DEFAULT_GOAL := help
.PHONY: help setup reproduce claims claims-mutants crate site workshop explore bench test test-site
.PHONY: lint lock reference clean interpreter

help:  ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20
	@echo "  PROFILE=$(PROFILE)  parameter file in params/      DATA=$(DATA)  root of the real images"
	@echo "  JOBS=$(JOBS)  notebooks at once      SNAKEMAKE_FLAGS='--profile slurm'  run on a cluster"

setup: $(INSTALLED)  ## install everything into .venv
	@echo "$$($(PYTHON) --version) in $(VENV)"

$(INSTALLED): requirements.lock pyproject.toml | interpreter
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Makes VENV where there is none. One that is there stays: if another Python is asked for, the user
# says which of the two goes.
interpreter:
	@python='$(or $(ASKED),$(wildcard $(PYTHON)),$(BASE_PYTHON))'; \
	found=$$("$${python:-false}" --version 2>/dev/null) || found='no Python that runs'; \
	minor=$${found#Python }; minor=$${minor%.*}; \
	case ' $(SUPPORTED) ' in *" $$minor "*) ;; *) \
	  echo "error: $${python:-python3} is $$found; supported: $(SUPPORTED). Install one of them and" \
	    "remove $(VENV) if it is there, or name one: make setup BASE_PYTHON=/path/to/it" >&2; exit 2;; \
	esac; \
	test -x $(PYTHON) || "$$python" -m venv $(VENV) || exit; \
	here=$$($(PYTHON) --version); case "$$here" in "Python $$minor."*) ;; *) \
	  echo "error: $(VENV) has $$here, not $$minor. Remove it, or have both:" \
	    "make setup BASE_PYTHON=$$python VENV=.venv-$$minor" >&2; exit 2;; \
	esac

reproduce: setup  ## run all notebooks of PROFILE, write results/PROFILE
	@$(PYTHON) -m snakemake --cores all --resources notebooks=$(JOBS) \
	  --rerun-triggers params input code --rerun-incomplete --nolock --quiet all \
	  --config profile=$(PROFILE) $(SNAKEMAKE_FLAGS) || { code=$$?; \
	  test $$code = 2 || echo "stopped; SNAKEMAKE_FLAGS='--quiet rules' says more" >&2; exit $$code; }
	@echo "$(RESULTS)/$(PROFILE) is up to date"

claims: setup  ## judge the published claims by results/PROFILE (seconds; trains nothing)
	@$(PYTHON) -m compendium claims '$(RESULTS)/$(PROFILE)'

claims-mutants: setup  ## spoil predictions and published figures: every time a verdict must change
	@$(PYTHON) -m compendium mutants '$(RESULTS)/$(PROFILE)'

site: setup  ## build the pages of results/PROFILE: results/PROFILE/site/index.html
	@$(PYTHON) -m compendium site $(PROFILE)

crate: setup  ## describe results/PROFILE as an RO-Crate: ro-crate-metadata.json in it
	@$(PYTHON) -m compendium crate '$(RESULTS)/$(PROFILE)'

workshop: reproduce  ## copies of the notebooks for a class, with results of PROFILE
	@test -d '$(RESULTS)/workshop' || $(PYTHON) -m compendium workshop --profile $(PROFILE)
	@if test -t 0 && test -t 1; then $(PYTHON) -m jupyter lab '$(RESULTS)/workshop/student'; \
	  else echo "open it: $(PYTHON) -m jupyter lab $(RESULTS)/workshop/student"; fi

explore: setup  ## serve what can be moved in results/PROFILE as a page
	COMPENDIUM_PROFILE=$(PROFILE) $(PYTHON) -m voila --theme=light \
	  --VoilaConfiguration.show_tracebacks=True notebooks/apps/explore.ipynb

bench: setup  ## measure the engine beside a plain training: results/bench.json (SECTIONS=speed …)
	@$(PYTHON) -m compendium bench --out '$(RESULTS)/bench.json' $(if $(SECTIONS),--only $(SECTIONS))

# On all cores; the notebooks read each other's results, so they run in order (tests/conftest.py),
# in a folder of their own.
test: setup  ## run the test suite and the smoke notebooks
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	  COMPENDIUM_RESULTS=$$folder COMPENDIUM_HEADLESS=1 $(PYTHON) -m pytest -n $(WORKERS) --maxprocesses 8 \
	  --no-loadscope-reorder --durations 20 --nbval-lax --nbval-current-env \
	  --ignore tests/compendium/browser tests \
	  $(sort $(wildcard results/reference/*smoke/*.ipynb))

test-site: setup  ## test site, widgets and reader study in a browser (Chromium)
	@$(PYTHON) -m pytest -n $(WORKERS) --maxprocesses 2 --no-loadscope-reorder tests/compendium/browser

lint: setup  ## check style and format
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

# With extras: without them, pip before 23.3 takes the newest a[extra], not the a that is locked.
lock:  ## write requirements.lock anew from pyproject.toml
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && $(BASE_PYTHON) -m venv $$folder && \
	  $$folder/bin/pip install --quiet --disable-pip-version-check uv==0.13.8 && \
	  $$folder/bin/uv pip compile --quiet --upgrade --universal --python-version $(lastword $(SUPPORTED)) \
	  --generate-hashes --no-strip-extras --no-header --no-annotate --extra dev --extra cluster \
	  --output-file requirements.lock pyproject.toml

reference: reproduce  ## keep the results of PROFILE in results/reference
	$(PYTHON) -m compendium keep '$(RESULTS)/$(PROFILE)' --out results/reference/$(PROFILE)

clean:  ## remove all results except those in results/reference
	find results -mindepth 1 -maxdepth 1 ! -name reference -exec rm -rf {} +
	rm -rf .snakemake .pytest_cache .ruff_cache .hypothesis
