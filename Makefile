PROFILE ?= quick
DATA ?= data
# The notebooks of smoke use one thread each.
JOBS ?= $(if $(filter smoke,$(PROFILE)),2,1)
SNAKEMAKE_FLAGS ?=

export COMPENDIUM_DATA := $(abspath $(DATA))
RESULTS := $(or $(COMPENDIUM_RESULTS),results)
BASE_PYTHON := $(shell command -v python3.11 || command -v python3)
PYTHON := .venv/bin/python
INSTALLED := .venv/installed

.DEFAULT_GOAL := help
.PHONY: help setup reproduce claims claims-mutants crate site workshop explore bench test test-site
.PHONY: lint lock reference clean

help:  ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20
	@echo "  PROFILE=$(PROFILE)  parameter file in params/      DATA=$(DATA)  root of the real images"
	@echo "  JOBS=$(JOBS)  notebooks at once      SNAKEMAKE_FLAGS='--profile slurm'  run on a cluster"

setup: $(INSTALLED)  ## install everything into .venv

$(INSTALLED): requirements.lock pyproject.toml
	@$(BASE_PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo "error: Python 3.11 is needed, $(BASE_PYTHON) is another. Install python3.11."; exit 2; }
	test -x $(PYTHON) || $(BASE_PYTHON) -m venv .venv
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

reproduce: setup  ## run all notebooks of PROFILE, write results/PROFILE
	@$(PYTHON) -m snakemake --cores all --resources notebooks=$(JOBS) \
	  --rerun-triggers params input code --rerun-incomplete --nolock --quiet all \
	  --config profile=$(PROFILE) $(SNAKEMAKE_FLAGS) || { code=$$?; \
	  test $$code = 2 || echo "stopped; SNAKEMAKE_FLAGS='--quiet rules' says more" >&2; exit $$code; }
	@echo "$(RESULTS)/$(PROFILE) is up to date"

claims: setup  ## judge the published claims by results/PROFILE (seconds; trains nothing)
	@$(PYTHON) -m compendium claims $(RESULTS)/$(PROFILE)

claims-mutants: setup  ## spoil predictions and published figures: every time a verdict must change
	@$(PYTHON) -m compendium mutants $(RESULTS)/$(PROFILE)

site: setup  ## build the pages of results/PROFILE: results/PROFILE/site/index.html
	@$(PYTHON) -m compendium site $(PROFILE)

crate: setup  ## describe results/PROFILE as an RO-Crate: ro-crate-metadata.json in it
	@$(PYTHON) -m compendium crate $(RESULTS)/$(PROFILE)

workshop: reproduce  ## copies of the notebooks for a class, with results of PROFILE
	@test -d $(RESULTS)/workshop || $(PYTHON) -m compendium workshop --profile $(PROFILE)
	@if test -t 0 && test -t 1; then $(PYTHON) -m jupyter lab $(RESULTS)/workshop/student; \
	  else echo "open it: $(PYTHON) -m jupyter lab $(RESULTS)/workshop/student"; fi

explore: setup  ## serve what can be moved in results/PROFILE as a page
	COMPENDIUM_PROFILE=$(PROFILE) $(PYTHON) -m voila --theme=light \
	  --VoilaConfiguration.show_tracebacks=True notebooks/apps/explore.ipynb

bench: setup  ## measure the engine beside a plain training: results/bench.json (SECTIONS=speed …)
	@$(PYTHON) -m compendium bench --out $(RESULTS)/bench.json $(if $(SECTIONS),--only $(SECTIONS))

# The notebooks read each other's results, so they run in order, in a folder of their own.
test: setup  ## run the test suite and the smoke notebooks
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	  COMPENDIUM_RESULTS=$$folder COMPENDIUM_HEADLESS=1 $(PYTHON) -m pytest \
	  --nbval-lax --nbval-current-env --ignore tests/browser tests \
	  $(sort $(wildcard results/reference/smoke/*.ipynb))

test-site: setup  ## test site, widgets and reader study in a browser (Chromium)
	@$(PYTHON) -m pytest tests/browser

lint: setup  ## check style and format
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

lock:  ## write requirements.lock anew from pyproject.toml
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && $(BASE_PYTHON) -m venv $$folder && \
	  $$folder/bin/pip install --quiet --disable-pip-version-check uv==0.13.8 && \
	  $$folder/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --extra dev --extra cluster --output-file requirements.lock pyproject.toml

reference: reproduce  ## keep the results of PROFILE in results/reference
	$(PYTHON) -m compendium keep $(RESULTS)/$(PROFILE) --out results/reference/$(PROFILE)

clean:  ## remove all results except those in results/reference
	find results -mindepth 1 -maxdepth 1 ! -name reference -exec rm -rf {} +
	rm -rf .snakemake .pytest_cache .ruff_cache .hypothesis
