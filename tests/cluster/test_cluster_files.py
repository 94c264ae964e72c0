"""The cluster files that ship: each is held to what its own system asks, as far as that goes without the system."""

from __future__ import annotations

import copy
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import jsonschema
import pytest
import ray
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

FOLDER = Path(__file__).resolve().parents[2] / "ray_configs" / "clusters"
ROOT = FOLDER.parents[1]
SCRIPTS = ("local.sh", "slurm.sbatch")
RAYS_OWN = ("ray-autoscaler-v1",)


@pytest.mark.parametrize("name", [*SCRIPTS, "aws.yaml", "kuberay.yaml"])
def test_a_file_says_in_five_lines_how_it_is_used(name: str) -> None:
    text = (FOLDER / name).read_text()
    assert re.findall(r"^#   (\d)\. \S", text, re.MULTILINE) == ["1", "2", "3", "4", "5"]
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_sound(name: str) -> None:
    path = FOLDER / name
    assert path.stat().st_mode & stat.S_IXUSR
    checks = [["bash", "-n"], *([["shellcheck"]] if shutil.which("shellcheck") else [])]
    for check in checks:
        done = subprocess.run([*check, path], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    text = path.read_text()
    assert "set -euo pipefail" in text
    assert "export RAY_AUTH_MODE=token" in text and "umask 077" in text


def test_ray_up_takes_the_file_for_aws() -> None:
    config = yaml.safe_load((FOLDER / "aws.yaml").read_text())
    prepared = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    assert prepared["provider"]["type"] == "aws"
    with pytest.raises(jsonschema.ValidationError):
        validate_config(prepared | {"max_worker": 3})
    options = config["docker"]["run_options"]
    assert "--env RAY_AUTH_MODE=token" in options
    assert "~/.ray/auth_token" in config["file_mounts"]
    assert f":{ray.__version__}-" in config["docker"]["image"]
    [head] = [command for command in config["head_start_ray_commands"] if "--head" in command]
    assert "--dashboard-host=127.0.0.1" in head
    assert config["available_node_types"]["head"]["resources"] == {"CPU": 0}


def test_the_head_on_aws_may_hand_its_workers_their_profile() -> None:
    """The profile that Ray makes for a head may not pass on another one, so where workers have one the head has too."""
    text = (FOLDER / "aws.yaml").read_text()
    config = yaml.safe_load(text)
    nodes = {name: kind["node_config"] for name, kind in config["available_node_types"].items()}
    profiles = {name: node.get("IamInstanceProfile", {}).get("Name") for name, node in nodes.items()}
    assert all(profiles.values()) and profiles["head"] not in (*RAYS_OWN, *(profiles.keys() - {"head"}))
    steps = text[: text.index("cluster_name")]
    assert "iam:PassRole" in steps and all(profile in steps for profile in profiles.values())


# https://docs.ray.io/en/master/cluster/kubernetes/references/api.html
RAY_JOB = {
    "activeDeadlineSeconds",
    "backoffLimit",
    "clusterSelector",
    "deletionStrategy",
    "entrypoint",
    "entrypointNumCpus",
    "entrypointNumGpus",
    "entrypointResources",
    "jobId",
    "managedBy",
    "metadata",
    "preRunningDeadlineSeconds",
    "rayClusterSpec",
    "runtimeEnvYAML",
    "shutdownAfterJobFinishes",
    "submissionMode",
    "submitterConfig",
    "submitterPodTemplate",
    "suspend",
    "ttlSecondsAfterFinished",
}
RAY_CLUSTER = {
    "authOptions",
    "autoscalerOptions",
    "enableInTreeAutoscaling",
    "gcsFaultToleranceOptions",
    "headGroupSpec",
    "headServiceAnnotations",
    "managedBy",
    "rayVersion",
    "suspend",
    "upgradeStrategy",
    "workerGroupSpecs",
}
HEAD = {"enableIngress", "headService", "labels", "rayStartParams", "resources", "serviceType", "template"}
WORKERS = {
    "groupName",
    "idleTimeoutSeconds",
    "labels",
    "maxReplicas",
    "minReplicas",
    "numOfHosts",
    "rayStartParams",
    "replicas",
    "resources",
    "scaleStrategy",
    "suspend",
    "template",
}
RAYS_GROUP = 100  # of the user in rayproject/ray
CONTAINER = {"name", "image", "env", "ports", "resources", "securityContext", "volumeMounts"}


def test_the_job_for_kubernetes_has_the_fields_that_kuberay_documents() -> None:
    job = yaml.safe_load((FOLDER / "kuberay.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,45}[a-z0-9])?", job["metadata"]["name"])
    spec = job["spec"]
    cluster = spec["rayClusterSpec"]
    head, workers = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    assert spec.keys() <= RAY_JOB and cluster.keys() <= RAY_CLUSTER and head.keys() <= HEAD
    assert spec["submissionMode"] in ("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode")
    assert spec["shutdownAfterJobFinishes"] is True  # without which the time to live counts for nothing
    assert cluster["rayVersion"] == ray.__version__
    assert cluster["authOptions"] == {"mode": "token"}
    assert "secret" not in (FOLDER / "kuberay.yaml").read_text().replace("Secret and gives", "")
    for group in workers:
        assert group.keys() <= WORKERS and {"groupName", "template", "rayStartParams"} <= group.keys()
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for group in (head, *workers):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        pod = group["template"]["spec"]
        assert pod["securityContext"]["fsGroup"] == RAYS_GROUP
        [container] = pod["containers"]
        assert container.keys() <= CONTAINER
        assert all(isinstance(item["value"], str) for item in container["env"])
        assert {item["name"] for item in container["volumeMounts"]} == {item["name"] for item in pod["volumes"]}
        limits, requests = container["resources"]["limits"], container["resources"]["requests"]
        assert {name: limits[name] for name in requests} == requests
    assert {item["containerPort"] for item in head["template"]["spec"]["containers"][0]["ports"]} >= {6379, 8265}


def test_the_image_for_kubernetes_has_the_ray_that_is_pinned() -> None:
    assert f"FROM rayproject/ray:{ray.__version__}-py311\n" in (FOLDER / "Dockerfile").read_text()


def test_the_image_holds_no_records_no_history_and_no_environment() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert {".venv", ".git", "results", "**/__pycache__"} <= set(lines)
    needed = ("harness", "baselines", "tasks", "ray_configs", "pyproject.toml", "constraints.txt", "README.md")
    assert not set(needed) & {line.strip("/*") for line in lines}
    assert not any(line.startswith("!") for line in lines)


def test_what_was_never_tried_is_said() -> None:
    said = " ".join((ROOT / "docs" / "on-a-cluster.md").read_text().split())
    sentence = said[said.index("Never tried were") :].partition(":")[0]
    assert all(word in sentence for word in ("a GPU", "SLURM", "AWS", "Kubernetes", "several physical hosts"))
    for name, system in {"aws.yaml": "AWS", "kuberay.yaml": "Kubernetes", "slurm.sbatch": "SLURM"}.items():
        assert f"never run on {system}, nor on a GPU" in " ".join((FOLDER / name).read_text().split())


def test_slurm_reads_its_options_before_the_first_command() -> None:
    lines = (FOLDER / "slurm.sbatch").read_text().splitlines()
    first = next(index for index, line in enumerate(lines) if line and not line.startswith("#"))
    marked = [index for index, line in enumerate(lines) if line.startswith("#SBATCH")]
    assert marked and max(marked) < first
    options = dict(re.fullmatch(r"#SBATCH --([a-z-]+)(?:=(\S+))?", lines[index]).groups() for index in marked)
    assert options["ntasks-per-node"] == "1"
    assert re.fullmatch(r"\d+:\d\d:\d\d", options["time"])
    assert int(options["nodes"]) >= 2 and int(options["cpus-per-task"]) >= 1


STAND_IN = """#!/usr/bin/env bash
echo "$(basename "$0") $RAY_AUTH_MODE $(stat -c %a "$RAY_AUTH_TOKEN_PATH") $*" >> "$CALLS"
"""


IP = """#!/usr/bin/env bash
[ "$*" = "-4 -o address show dev ib0" ] || exit 0
echo '5: ib0    inet 10.9.8.7/16 brd 10.9.255.255 scope global ib0'
echo '5: ib0    inet 10.9.8.8/16 scope global secondary ib0'
"""


def slurm(folder: Path, **variables: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """The script with commands in place of SLURM, Ray, ip and symbench that note how they are called."""
    commands, calls, store = folder / "bin", folder / "calls", folder / "store"
    commands.mkdir()
    stand_ins = {name: STAND_IN for name in ("srun", "ray", "symbench")}
    stand_ins["symbench"] += 'until [ "$(grep -c ^srun "$CALLS")" = 3 ]; do sleep 0.05; done\n'
    stand_ins["scontrol"] = "#!/usr/bin/env bash\nprintf 'n1\\nn2\\nn3\\n'\n"
    stand_ins["ip"] = IP
    for name, text in stand_ins.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{commands}:{os.environ['PATH']}",
        "CALLS": str(calls),
        "SLURM_JOB_ID": "123456",
        "SLURM_JOB_NODELIST": "n[1-3]",
        "SLURM_SUBMIT_DIR": str(folder),
        "SLURM_CPUS_PER_TASK": "16",
        "SLURM_MEM_PER_NODE": "65536",
        **variables,
    }
    words = ["bash", str(FOLDER / "slurm.sbatch"), "quick", str(store), "--only", "task=nbody"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=30)
    assert list((store / "slurm").iterdir()) == []  # the token
    return done, calls.read_text().splitlines() if calls.exists() else []


def test_the_slurm_script_starts_each_node_once_and_leaves_no_token(tmp_path: Path) -> None:
    done, said = slurm(tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(re.match(r"\w+ token 600 ", line) for line in said)
    started = [line for line in said if line.startswith("srun")]
    assert sorted(re.findall(r"--nodelist=(\w+)", " ".join(started))) == ["n1", "n2", "n3"]
    assert ["--head" in line for line in sorted(started, key=lambda line: "--nodelist=n1" not in line)] == [
        True,
        False,
        False,
    ]
    assert all("--num-cpus=16" in line and f"--memory={65536 * 1048576 * 8 // 10}" in line for line in started)
    assert all("--cpus-per-task=16" in line.partition(" ray ")[0] for line in started)
    [address] = set(re.findall(r"ray start --address=(\S+)", " ".join(started)))
    [run] = [line for line in said if line.startswith("symbench")]
    assert run == f"symbench token 600 run quick --address {address} --store {tmp_path}/store --only task=nbody"


def test_the_network_of_a_slurm_cluster_can_be_chosen(tmp_path: Path) -> None:
    done, said = slurm(tmp_path, SYMBENCH_INTERFACE="ib0")
    assert done.returncode == 0, done.stderr
    [head] = [line for line in said if "--head" in line]
    assert "--node-ip-address=10.9.8.7 " in head
    assert len([line for line in said if "ray start --address=10.9.8.7:" in line]) == 2
    [run] = [line for line in said if line.startswith("symbench")]
    assert "--address 10.9.8.7:" in run


def test_an_interface_without_an_address_ends_the_job_with_a_sentence(tmp_path: Path) -> None:
    done, said = slurm(tmp_path, SYMBENCH_INTERFACE="ib1")
    assert done.returncode == 1 and said == []
    assert done.stderr.startswith("No IPv4 address on the interface ib1 of ")
