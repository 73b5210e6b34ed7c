"""What starts a training on several machines: the JobSet and the script for SLURM."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from colorizer.fit import _parsed
from colorizer.training.cluster import Cluster, read_cluster

ROOT = Path(__file__).resolve().parents[2]
TRAINING = ROOT / "models_export" / "deploy" / "training"
SLURM = TRAINING / "slurm.sh"


@pytest.fixture
def jobset() -> dict[str, Any]:
    return yaml.safe_load((TRAINING / "jobset.yaml").read_text(encoding="utf-8"))


def job_of(jobset: dict[str, Any]) -> dict[str, Any]:
    (only,) = jobset["spec"]["replicatedJobs"]
    spec = only["template"]["spec"]
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"}, "spec": spec}


def container_of(jobset: dict[str, Any]) -> dict[str, Any]:
    (only,) = job_of(jobset)["spec"]["template"]["spec"]["containers"]
    return only


def test_the_job_inside_is_as_kubernetes_has_it(jobset):
    job = job_of(jobset)
    kubernetes_validate.validate(job, "1.30", strict=True)
    job["spec"]["template"]["spec"]["surplus"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, "1.30", strict=True)


def test_each_pod_finds_itself_in_the_cluster(jobset):
    (replicated,) = jobset["spec"]["replicatedJobs"]
    count, name = job_of(jobset)["spec"]["completions"], jobset["metadata"]["name"]
    assert replicated["replicas"] == 1 and job_of(jobset)["spec"]["parallelism"] == count
    (port,) = container_of(jobset)["ports"]
    # As JobSet names pods and their service.
    addresses = tuple(
        f"{name}-{replicated['name']}-0-{index}.{name}:{port['containerPort']}"
        for index in range(count)
    )
    variables = [one["name"] for one in container_of(jobset)["env"]]
    # Kubernetes puts in what stands before.
    assert variables.index("WORKER_INDEX") < variables.index("TF_CONFIG")
    (text,) = (one["value"] for one in container_of(jobset)["env"] if one["name"] == "TF_CONFIG")
    for index in range(count):
        told = {"TF_CONFIG": text.replace("$(WORKER_INDEX)", str(index))}
        assert read_cluster(told) == Cluster(addresses, index)


def test_the_pods_command_is_one_of_fit(jobset):
    container = container_of(jobset)
    assert container["command"] == ["python", "-m", "colorizer.fit"]
    config = _parsed(container["args"])
    assert config.resume
    kustomization = TRAINING.parent / "kubernetes" / "kustomization.yaml"
    (image,) = yaml.safe_load(kustomization.read_text(encoding="utf-8"))["images"]
    assert container["image"] == f"{image['name']}:{image['newTag']}"
    mounted = [Path(mount["mountPath"]) for mount in container["volumeMounts"]]
    for place in (config.data, config.val_data, config.run_dir):
        assert place.parent in mounted


def test_a_failure_of_its_own_is_not_tried_again(jobset):
    (rule,) = job_of(jobset)["spec"]["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"]["containerName"] == container_of(jobset)["name"]
    assert rule["onExitCodes"]["values"] == [1, 2]
    (answer,) = jobset["spec"]["failurePolicy"]["rules"]
    assert answer["action"] == "FailJobSet"


def test_shellcheck_finds_nothing(tmp_path):
    def checked(script: Path) -> subprocess.CompletedProcess:
        tool = Path(sys.executable).parent / "shellcheck"
        return subprocess.run([tool, script], capture_output=True, text=True, check=False)

    done = checked(SLURM)
    assert done.returncode == 0, done.stdout
    (tmp_path / "bad.sh").write_text('#!/bin/bash\nfor file in $(ls "$1"); do rm $file; done\n')
    assert checked(tmp_path / "bad.sh").returncode == 1


@pytest.fixture
def slurm(tmp_path):
    """Runs the script where SLURM's commands, and python, are small stand-ins of themselves."""
    tools = tmp_path / "bin"
    tools.mkdir()
    stands_in = {
        "scontrol": 'printf "%s\\n" node7 node9',
        # Exit codes in turn; in each attempt one worker after the other.
        "srun": f"""shift
for SLURM_PROCID in 0 1; do export SLURM_PROCID; "$@" || exit 99; done
read -r code < {tmp_path}/codes; sed -i 1d {tmp_path}/codes; exit "$code\"""",
        "python": f'printf "%s\\n" "$TF_CONFIG" "$*" >> {tmp_path}/calls',
    }
    for name, body in stands_in.items():
        (tools / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
        (tools / name).chmod(0o755)

    def run(codes: list[int], **environment: str) -> tuple[int, list[str]]:
        (tmp_path / "codes").write_text("".join(f"{code}\n" for code in codes))
        (tmp_path / "calls").write_text("")
        path = f"{tools}:/usr/bin:/bin"
        own = {"PATH": path, "SLURM_JOB_ID": "71234", "SLURM_JOB_NODELIST": "node[7,9]"}
        words = ["bash", SLURM, "--data", "my photos", "--run-dir", "r"]
        done = subprocess.run(words, env=own | environment, capture_output=True, check=False)
        return done.returncode, (tmp_path / "calls").read_text().splitlines()

    return run


def test_under_slurm_each_worker_finds_itself_in_the_cluster(slurm):
    code, calls = slurm([0])
    assert code == 0 and len(calls) == 4
    for index in range(2):
        found = read_cluster({"TF_CONFIG": calls[2 * index]})
        assert found == Cluster(("node7:31234", "node9:31234"), index)
        assert calls[2 * index + 1] == "-m colorizer.fit --data my photos --run-dir r --resume"
    assert json.loads(calls[0])["task"]["type"] == "worker"


@pytest.mark.parametrize(
    ("codes", "code", "attempts"),
    [([75, 137, 0], 0, 3), ([1], 1, 1), ([143], 143, 1), ([75, 75, 75], 75, 3)],
)
def test_under_slurm_lost_workers_begin_again(slurm, codes, code, attempts):
    ended, calls = slurm(codes, RESTARTS="2")
    assert ended == code and len(calls) == 4 * attempts
