"""One rule per notebook; what each reads, and when it runs again, stands in engine/plan.py."""

import sys
import traceback

from engine.parameters import InputError
from engine.paths import results_root, stamp_path

PROFILE = config.get("profile", "quick")
FOLDER = results_root() / PROFILE

try:
    from engine.plan import make_plan

    PLAN = make_plan(PROFILE)
except InputError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)
except Exception:
    traceback.print_exc()  # the Makefile silences Snakemake, which would hide it
    sys.exit(1)


rule all:
    input:
        # Also where Snakemake has forgotten what it made: the plan takes stale stamps away.
        [stamp_path(notebook, PROFILE) for notebook in PLAN.steps],
        metrics=FOLDER / "metrics.json",
        manifest=FOLDER / "manifest.json",


# Snakemake removes the outputs of a rule before it runs it again. The results themselves are
# therefore no outputs: a run that fails leaves those of the run before.
for step in PLAN.steps.values():

    rule:
        name:
            step.notebook
        input:
            [stamp_path(parent, PROFILE) for parent in step.parents],
        output:
            stamp_path(step.notebook, PROFILE),
        params:
            notebook=step.notebook,
            key=step.key,
            sources=step.sources,
        threads: PLAN.params.threads
        resources:
            notebooks=1,
        shell:
            "{sys.executable:q} -m compendium notebook {params.notebook} --profile {PROFILE}"
            " --key {params.key} --sources {params.sources}"


rule collect:
    input:
        [stamp_path(notebook, PROFILE) for notebook in PLAN.steps],
    output:
        FOLDER / "metrics.json",
        FOLDER / "manifest.json",
    params:
        data=PLAN.data,
        made_from=[step.key for step in PLAN.steps.values()],
    shell:
        "{sys.executable:q} -m compendium collect --profile {PROFILE} --data {params.data}"
