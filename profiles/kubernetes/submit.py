"""Hand a job of Snakemake to Kubernetes; prints the name of its Job. See config.yaml."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

PASSED_ON = ("COMPENDIUM_DATA", "COMPENDIUM_RESULTS", "COMPENDIUM_HEADLESS")
KEPT = 7 * 24 * 3600  # seconds after its end in which a Job, and what it printed, can be looked at


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--claim", required=True, help="NAME:PATH of the volume claim")
    parser.add_argument("--image", required=True)
    parser.add_argument("--name", required=True, help="what the Job's name ends with")
    parser.add_argument("--cpus", type=int, required=True)
    parser.add_argument("--memory", type=int, required=True, help="MB")
    parser.add_argument("--gpus", type=int, required=True)
    parser.add_argument("script", help="what Snakemake wants to be run")
    given = parser.parse_args()
    claim, mount = given.claim.split(":")
    if not Path.cwd().is_relative_to(mount):
        sys.exit(
            f"error: {Path.cwd()}: not on the volume claim {claim!r}, which pods find at {mount}. "
            "Run from a checkout there, or correct --claim in profiles/kubernetes/config.yaml."
        )
    created = subprocess.run(
        ["kubectl", "create", "-f", "-", "-o", "jsonpath={.metadata.name}"],
        input=json.dumps(job(given, claim, mount)), text=True, stdout=subprocess.PIPE, check=False,
    )  # fmt: skip
    if created.returncode:
        sys.exit(f"error: kubectl could not create the Job of {given.name}, see above.")
    print(created.stdout)


def job(given: argparse.Namespace, claim: str, mount: str) -> dict:
    """The Job; Snakemake starts another one where it fails."""
    memory = f"{given.memory}M"
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environment["HOME"] = f"{mount}/home"  # where timm keeps what it downloads
    container = {
        "name": "notebook",
        "image": given.image,
        "workingDir": str(Path.cwd()),
        "command": ["bash", given.script],
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "resources": {
            "requests": {"cpu": str(given.cpus), "memory": memory},
            "limits": {"memory": memory},
        },
        "volumeMounts": [
            {"name": "claim", "mountPath": mount},
            {"name": "shm", "mountPath": "/dev/shm"},
        ],
    }
    if given.gpus:
        container["resources"]["limits"]["nvidia.com/gpu"] = str(given.gpus)
    volumes = [
        {"name": "claim", "persistentVolumeClaim": {"claimName": claim}},
        # Workers hand trainings over through it; a pod's own is 64 MiB.
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}},
    ]
    pod = {"restartPolicy": "Never", "containers": [container], "volumes": volumes}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"generateName": f"compendium-{given.name.replace('_', '-')}-"},
        "spec": {
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": KEPT,
            "template": {"spec": pod},
        },
    }


if __name__ == "__main__":
    main()
