"""The Snakemake profiles for clusters: planned, and run where a cluster can be stood in for."""

import json
import os
import subprocess
import sys
import time

import pytest
import yaml

from engine.notebooks import notebook_paths
from engine.parameters import load_params
from engine.paths import ROOT

KUBERNETES = ROOT / "profiles" / "kubernetes"
PROFILES = sorted((ROOT / "profiles").glob("*/config.yaml"))


def plan(profile, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--profile", profile.parent, "--dry-run", "--nolock",
         "--config", "profile=smoke"],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COMPENDIUM_RESULTS": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.parent.name)
def test_every_notebook_is_planned_with_its_resources(profile, tmp_path):
    text = plan(profile, tmp_path)
    rules = {block.split(":", 1)[0]: block for block in text.split("\nrule ")[1:]}
    for path in notebook_paths("embryo"):
        resources = next(
            line for line in rules[path.stem].splitlines() if line.strip().startswith("resources:")
        )
        trains = not path.stem.startswith("01")
        assert any(gpu in resources for gpu in ("gres=gpu:1", "gpu=1")) == trains, resources
        assert f"mem_mb={32000 if trains else 16000}" in resources
    assert not list(tmp_path.iterdir())  # a plan writes nothing


def test_profiles_name_rules_that_exist():
    names = {path.stem for path in notebook_paths("embryo")}
    for profile in PROFILES:
        assert set(yaml.safe_load(profile.read_text())["set-resources"]) <= names


def test_the_job_of_kubernetes_runs_the_command_of_the_readme():
    job = yaml.safe_load((KUBERNETES / "job.yaml").read_text())
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    make, *arguments = container["command"]
    done = subprocess.run(
        [make, "--dry-run", "-o", ".venv/installed", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "-m snakemake" in done.stdout
    profile = dict(argument.split("=") for argument in arguments[1:])["PROFILE"]
    assert f"profile={profile}" in done.stdout
    assert load_params(ROOT / "params" / f"{profile}.yaml").device == "cuda"
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"


# Does what the tests need of kubectl: a Job is a process here, with the pod's command, folder and
# environment; what was asked for stays beside it.
KUBECTL = """
import json, os, pathlib, subprocess, sys
place = pathlib.Path(os.environ["FAKE_CLUSTER"])
verb = sys.argv[1]
if verb == "create":
    job = json.load(sys.stdin)
    name = job["metadata"]["generateName"] + str(len(list(place.glob("*.json"))))
    (place / (name + ".json")).write_text(json.dumps(job))
    (container,) = job["spec"]["template"]["spec"]["containers"]
    with (place / (name + ".log")).open("w") as log:
        subprocess.Popen(
            ["sh", "-c", '"$@"; echo $? >"$0"', place / (name + ".code"), *container["command"]],
            cwd=container["workingDir"], stdout=log, stderr=log,
            env={"PATH": os.environ["PATH"]} | {e["name"]: e["value"] for e in container["env"]}
            | {"HOME": str(place)},  # which would lie on the claim
        )
    print(name, end="")
elif verb == "get":
    if "unreachable" in sys.argv[3]:
        sys.exit("The connection to the server was refused")
    code = place / (sys.argv[3] + ".code")
    status = {"active": 1}
    if code.exists() and code.read_text():
        kind = "Complete" if code.read_text().strip() == "0" else "Failed"
        status = {"conditions": [{"type": kind, "status": "True"}]}
    if (place / (sys.argv[3] + ".json")).exists():
        print(json.dumps({"status": status}))
"""


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A folder of Jobs, run by a stand-in for kubectl."""
    place, programs = tmp_path / "cluster", tmp_path / "bin"
    place.mkdir()
    programs.mkdir()
    program = programs / "kubectl"
    program.write_text(f"#!{sys.executable}{KUBECTL}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_CLUSTER", str(place))
    return place


def submit(script, folder, claim="compendium:/", gpus=1):
    return subprocess.run(
        [sys.executable, KUBERNETES / "submit.py", "--claim", claim, "--image", "python",
         "--name", "03_cyclegan_texture", "--cpus", "8", "--memory", "32000", "--gpus", str(gpus),
         script],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


def status(name):
    return subprocess.run(
        [sys.executable, KUBERNETES / "status.py", name],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip


def ended(name):
    while (state := status(name)) == "running":
        time.sleep(0.05)
    return state


def test_a_notebook_runs_as_a_job_of_kubernetes(cluster, tmp_path):
    """The whole way, with a stand-in for the cluster: Snakemake, submission, pod, status."""
    profile, results = tmp_path / "profile", tmp_path / "results"
    profile.mkdir()
    text = (KUBERNETES / "config.yaml").read_text()
    assert text.count("compendium:/compendium") == 1
    (profile / "config.yaml").write_text(text.replace(":/compendium", f":{ROOT}"))
    first = notebook_paths("embryo")[0].stem
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--profile", profile, "--nolock", "--until", first,
         "--seconds-between-status-checks", "1", "--config", "profile=smoke"],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COMPENDIUM_RESULTS": str(results)},
    )  # fmt: skip
    logs = "".join(path.read_text() for path in cluster.glob("*.log"))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    assert (results / "smoke" / f"{first}.ipynb").is_file()
    (job,) = (json.loads(path.read_text()) for path in cluster.glob("*.json"))
    assert job["metadata"]["generateName"] == f"compendium-{first.replace('_', '-')}-"
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"memory": "16000M"}


def test_a_pod_has_claim_gpu_and_memory_to_share(cluster, tmp_path):
    (tmp_path / "script").write_text("true")
    name = submit("script", tmp_path).stdout.strip()
    assert ended(name) == "success"
    job = json.loads((cluster / f"{name}.json").read_text())
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"]["limits"] == {"memory": "32000M", "nvidia.com/gpu": "1"}
    assert container["resources"]["requests"] == {"memory": "32000M", "cpu": "8"}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    claims = [v["name"] for v in pod["volumes"] if "persistentVolumeClaim" in v]
    assert [mounts[name] for name in claims] == ["/"]
    assert set(mounts) == {volume["name"] for volume in pod["volumes"]}
    # Snakemake counts the attempts; its next one goes on from the last checkpoint.
    assert (job["spec"]["backoffLimit"], pod["restartPolicy"]) == (0, "Never")


def test_what_fails_is_lost_or_out_of_reach_is_told_apart(cluster, tmp_path):
    (tmp_path / "script").write_text("exit 3")
    name = submit("script", tmp_path).stdout.strip()
    assert ended(name) == "failed"
    (cluster / f"{name}.json").unlink()
    assert status(name) == "failed"  # somebody deleted the Job
    assert status("unreachable") == "running"


def test_a_checkout_beside_the_claim_is_refused(cluster, tmp_path):
    done = submit("script", tmp_path, claim="compendium:/compendium")
    assert done.returncode == 1
    assert all(part in done.stderr for part in (str(tmp_path), "'compendium'", "--claim"))
    assert not list(cluster.iterdir())


def test_all_programs_of_a_profile_are_there():
    commands = yaml.safe_load((KUBERNETES / "config.yaml").read_text())
    programs = [word for key, text in commands.items() if key.endswith("-cmd")
                for word in text.split() if word.startswith("profiles/")]  # fmt: skip
    assert len(programs) == 3
    assert all((ROOT / program).is_file() for program in programs)
    # Snakemake starts this one without a shell.
    assert os.access(ROOT / commands["cluster-generic-cancel-cmd"], os.X_OK)
