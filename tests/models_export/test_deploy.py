"""The deployment files, against the schemas of what reads them and against the server itself."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from models_export.export import export_run
from models_export.serve import DEFAULT_GRPC_PORT, ServeConfig
from models_export.serving import metrics
from models_export.serving.text_protos import read_batching, read_metrics_path

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "models_export" / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
DOCKERFILES = ("Dockerfile", "tensorflow_serving.Dockerfile")
MANIFESTS = ("deployment", "service", "disruption_budget", "autoscaler", "network_policy")
REST_PORT = ServeConfig.model_fields["rest_api_port"].default
PORTS = {REST_PORT, DEFAULT_GRPC_PORT}
USER = 10001
# As serve.py: the timeout of a request, and 5 s.
DRAIN_SECONDS = ServeConfig.model_fields["rest_api_timeout_in_ms"].default // 1000 + 5


def tool(name: str, *arguments: str | Path) -> subprocess.CompletedProcess:
    command = [str(Path(sys.executable).parent / name), *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def instructions(name: str) -> list[tuple[str, str]]:
    text = (DEPLOY / name).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def given(name: str, instruction: str) -> list[str]:
    return [rest for word, rest in instructions(name) if word == instruction]


def container() -> dict[str, Any]:
    (only,) = load(KUBERNETES / "deployment.yaml")["spec"]["template"]["spec"]["containers"]
    return only


def inference_services() -> list[dict[str, Any]]:
    text = (DEPLOY / "kserve" / "inference_service.yaml").read_text(encoding="utf-8")
    return list(yaml.safe_load_all(text))


@pytest.mark.parametrize("name", [*DOCKERFILES, "batch.Dockerfile"])
def test_hadolint_finds_nothing(name):
    done = tool("hadolint", DEPLOY / name)
    assert done.returncode == 0, done.stdout


def test_hadolint_would_find_something(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM python\nRUN cd /tmp\n")
    assert tool("hadolint", tmp_path / "Dockerfile").returncode == 1


def test_yamllint_finds_nothing():
    rules = "{extends: default, rules: {document-start: disable, line-length: {max: 120}}}"
    done = tool("yamllint", "--strict", "-d", rules, DEPLOY)
    assert done.returncode == 0, done.stdout


def test_compose_is_as_its_specification_has_it(tmp_path):
    schema = ("--builtin-schema", "vendor.compose-spec")
    done = tool("check-jsonschema", *schema, DEPLOY / "compose.yaml")
    assert done.returncode == 0, done.stdout
    (tmp_path / "compose.yaml").write_text("services: {a: {imag: b}}")
    assert tool("check-jsonschema", *schema, tmp_path / "compose.yaml").returncode == 1


@pytest.mark.parametrize("name", MANIFESTS)
def test_manifests_are_as_kubernetes_has_them(name):
    manifest = load(KUBERNETES / f"{name}.yaml")
    kubernetes_validate.validate(manifest, "1.30", strict=True)
    manifest["spec"]["surplus"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, "1.30", strict=True)


def test_the_kustomization_names_every_manifest():
    kustomization = load(KUBERNETES / "kustomization.yaml")
    assert kustomization["resources"] == [f"{name}.yaml" for name in MANIFESTS]
    assert [image["name"] for image in kustomization["images"]] == [container()["image"]]


def test_inference_services_are_as_kserve_has_them():
    schema = json.loads((ROOT / "tests/data/kserve_inference_service.schema.json").read_text())
    ours, tensorflow = inference_services()
    for service in (ours, tensorflow):
        jsonschema.validate(service, schema)
        service["spec"]["predictor"]["surplus"] = 1
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(service, schema)
    # What the shortened schema leaves open is a pod's.
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}
    predictor = ours["spec"]["predictor"]
    spec = {key: predictor[key] for key in ("containers", "securityContext", "volumes")}
    kubernetes_validate.validate({**pod, "spec": spec}, "1.30", strict=True)
    resources = tensorflow["spec"]["predictor"]["model"]["resources"]
    spec = {"containers": [{"name": "x", "image": "y", "resources": resources}]}
    kubernetes_validate.validate({**pod, "spec": spec}, "1.30", strict=True)


def test_ports_are_the_servers_own():
    for name in DOCKERFILES:
        assert set(map(int, given(name, "EXPOSE")[0].split())) == PORTS
    assert {port["containerPort"] for port in container()["ports"]} == PORTS
    assert {port["port"] for port in load(KUBERNETES / "service.yaml")["spec"]["ports"]} == PORTS
    (rule,) = load(KUBERNETES / "network_policy.yaml")["spec"]["ingress"]
    assert {port["port"] for port in rule["ports"]} == PORTS
    services = load(DEPLOY / "compose.yaml")["services"]
    for name in ("colorizer", "tensorflow-serving"):
        assert {int(port.rsplit(":", 1)[1]) for port in services[name]["ports"]} == PORTS
    (target,) = load(DEPLOY / "prometheus.yaml")["scrape_configs"][0]["static_configs"][0][
        "targets"
    ]
    assert target == f"colorizer:{REST_PORT}" and "colorizer" in services
    named = {port["name"] for port in container()["ports"]}
    probes = [container()[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness")]
    assert {probe["httpGet"]["port"] for probe in probes} <= named


def test_images_have_one_name_and_the_packages_version():
    setup = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    found = re.search(r"^version = (\S+)$", setup, re.M)
    assert found
    version = found[1]
    services = load(DEPLOY / "compose.yaml")["services"]
    assert services["colorizer"]["image"] == f"photo-colorizer:{version}"
    assert services["tensorflow-serving"]["image"] == f"photo-colorizer-tfs:{version}"
    assert given(DOCKERFILES[1], "ARG") == [f"COLORIZER=photo-colorizer:{version}"]
    ours, _ = inference_services()
    assert ours["spec"]["predictor"]["containers"][0]["image"] == f"photo-colorizer:{version}"
    (image,) = load(KUBERNETES / "kustomization.yaml")["images"]
    assert image == {"name": "photo-colorizer", "newTag": version}
    build = services["tensorflow-serving"]["build"]
    assert build["additional_contexts"] == {build["args"]["COLORIZER"]: "service:colorizer"}
    for service in ("colorizer", "tensorflow-serving"):
        build = services[service]["build"]
        assert (DEPLOY / build["context"]).resolve() == ROOT
        assert (ROOT / build["dockerfile"]).is_file()


def test_what_is_copied_is_there_and_not_ignored():
    for name in DOCKERFILES:
        ignored = (DEPLOY / f"{name}.dockerignore").read_text(encoding="utf-8").splitlines()
        kept = {line[1:] for line in ignored if line.startswith("!")}
        for rest in given(name, "COPY"):
            if not rest.startswith("--from"):
                for source in rest.split()[:-1]:
                    assert (ROOT / source).exists()
                    assert Path(source).parts[0] in kept


def test_pods_have_no_rights_and_end_in_time():
    pod = load(KUBERNETES / "deployment.yaml")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsUser"] == USER
    for name in DOCKERFILES:
        assert given(name, "USER") == [f"{USER}:{USER}"]
    wait = int(container()["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > wait + DRAIN_SECONDS
    services = load(DEPLOY / "compose.yaml")["services"]
    for name in ("colorizer", "tensorflow-serving"):
        assert int(services[name]["stop_grace_period"].rstrip("s")) > DRAIN_SECONDS
    predictor = inference_services()[0]["spec"]["predictor"]
    (served,) = predictor["containers"]
    assert predictor["terminationGracePeriodSeconds"] == pod["terminationGracePeriodSeconds"]
    assert served["lifecycle"] == container()["lifecycle"]
    for held in (container(), served):
        context = held["securityContext"]
        assert context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
        assert context["capabilities"] == {"drop": ["ALL"]}


def test_the_settings_are_what_the_server_reads():
    assert read_batching(DEPLOY / "batching.txt").max_batch_size == 16
    path = read_metrics_path(DEPLOY / "monitoring.txt")
    assert path == metrics.PATH
    annotations = load(KUBERNETES / "deployment.yaml")["spec"]["template"]["metadata"][
        "annotations"
    ]
    assert annotations["prometheus.io/path"] == path
    assert annotations["prometheus.io/port"] == str(REST_PORT)
    assert load(DEPLOY / "prometheus.yaml")["scrape_configs"][0]["metrics_path"] == path


def test_the_autoscaler_looks_at_a_metric_that_is_exported():
    kept = metrics.Metrics()
    kept.take("colorizer", "predict", metrics.Code.OK, 0.1)
    (rule,) = load(KUBERNETES / "prometheus_adapter.yaml")["rules"]["custom"]
    found = re.search(r'__name__="([^"]+)"', rule["seriesQuery"])
    assert found and found[1].encode() + b"{" in kept.page()
    assert 'status="OK"' in rule["metricsQuery"] and b'status="OK"' in kept.page()
    scaled = load(KUBERNETES / "autoscaler.yaml")["spec"]["metrics"]
    (pods,) = [one["pods"]["metric"]["name"] for one in scaled if one["type"] == "Pods"]
    assert pods == rule["name"]["as"]


@pytest.fixture
def started(tiny_run: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen, str]]:
    """The container's command, with paths of this machine and no home to write to."""
    base = export_run(tiny_run, tmp_path).parent
    words = [*json.loads(given("Dockerfile", "ENTRYPOINT")[0])]
    words += json.loads(given("Dockerfile", "CMD")[0])
    settings = tmp_path / "etc"
    settings.mkdir()
    for name in ("batching.txt", "monitoring.txt"):
        shutil.copy(DEPLOY / name, settings)
    places = {"python": sys.executable, "/models/colorizer": str(base), "0.0.0.0": "127.0.0.1"}
    words = [places.get(word, word.replace("/etc/colorizer", str(settings))) for word in words]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/dev/null/home",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    command = [*words, "--rest_api_port", "0", "--port", "0"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().split()[-1]
        process.kill()


def test_the_containers_command_serves_and_its_health_check_agrees(started):
    process, address = started
    check = json.loads(given("Dockerfile", "HEALTHCHECK")[0].partition("CMD ")[2])
    check[0] = sys.executable
    check[2] = check[2].replace(f"http://127.0.0.1:{REST_PORT}", address)
    assert address in check[2]
    assert subprocess.run(check, check=False).returncode == 0
    for probe in ("startupProbe", "livenessProbe"):
        with urllib.request.urlopen(address + container()[probe]["httpGet"]["path"]) as answer:
            assert answer.status == 200
    with urllib.request.urlopen(address + metrics.PATH) as answer:
        assert answer.status == 200
    others = json.loads(given(DOCKERFILES[1], "HEALTHCHECK")[0].partition("CMD ")[2])
    others[2] = others[2].replace(str(REST_PORT), address.rpartition(":")[2])
    ends = time.monotonic() + 60
    while subprocess.run(others, check=False, timeout=5).returncode:
        # The model is still being loaded.
        assert time.monotonic() < ends
        time.sleep(0.2)
    process.terminate()
    assert process.wait(60) == 0
    for ended in (check, others):
        assert subprocess.run(ended, check=False, stderr=subprocess.DEVNULL).returncode != 0


def test_the_images_commands_are_commands():
    (run,) = given("Dockerfile", "RUN")
    _, install, export = (shlex.split(part) for part in run.split("&&"))
    assert install[1:] == ["install", "--no-cache-dir", ".[grpc]"]
    assert "\ngrpc =\n" in (ROOT / "setup.cfg").read_text(encoding="utf-8")
    assert export[1:] == ["-m", "models_export.export", "--output", "/models"]
    for name in DOCKERFILES:
        for flag in re.findall(r'"--([a-z_]+)', given(name, "CMD")[0]):
            assert flag in ServeConfig.model_fields
