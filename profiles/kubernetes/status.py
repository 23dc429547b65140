"""Say how a Job of Kubernetes stands, in Snakemake's words: running, success or failed."""

import json
import subprocess
import sys


def main() -> None:
    asked = subprocess.run(
        ["kubectl", "get", "job", sys.argv[1], "--ignore-not-found", "-o", "json"],
        stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if asked.returncode:
        print("running")  # a server that does not answer for a moment has not lost the Job
    elif not asked.stdout.strip():
        print("failed")  # somebody has deleted it
    else:
        print(state(json.loads(asked.stdout).get("status", {})))


def state(status: dict) -> str:
    """Of the ``status`` of a Job."""
    met = {entry["type"] for entry in status.get("conditions", []) if entry["status"] == "True"}
    return "success" if "Complete" in met else "failed" if "Failed" in met else "running"


if __name__ == "__main__":
    main()
