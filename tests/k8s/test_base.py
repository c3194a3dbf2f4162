"""The Kubernetes base as kustomize renders it, held against the image and the server's rules."""

import importlib
import json
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
USER_ID = 10001

Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def manifests() -> dict[str, Manifest]:
    """Kind -> the one object of that kind in the rendered base."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not on PATH; it renders k8s/base with its built-in kustomize")
    command = [kubectl, "kustomize", str(ROOT / "k8s" / "base")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    yaml = importlib.import_module("yaml")  # comes with transformers, without types
    objects: list[Manifest] = list(yaml.safe_load_all(done.stdout))
    by_kind = {str(item["kind"]): item for item in objects}
    assert len(by_kind) == len(objects), "two objects of one kind"
    return by_kind


@pytest.fixture(scope="module")
def pod(manifests: dict[str, Manifest]) -> Manifest:
    spec: Manifest = manifests["Deployment"]["spec"]["template"]["spec"]
    return spec


@pytest.fixture(scope="module")
def container(pod: Manifest) -> Manifest:
    (only,) = pod["containers"]
    assert isinstance(only, dict)
    return only


@pytest.fixture(scope="module")
def environment(container: Manifest) -> dict[str, Manifest]:
    return {item["name"]: item for item in container["env"]}


def dockerfile_words(instruction: str) -> list[str]:
    """Arguments of `instruction` in the Dockerfile, one entry for each time it stands there."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    return [
        line.removeprefix(instruction).strip() for line in lines if line.startswith(instruction)
    ]


def test_deployment_never_runs_two_processes_on_the_index(manifests: dict[str, Manifest]) -> None:
    spec = manifests["Deployment"]["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}


def test_claim_is_mounted_where_twofold_home_points(
    manifests: dict[str, Manifest],
    pod: Manifest,
    container: Manifest,
    environment: dict[str, Manifest],
) -> None:
    claim = manifests["PersistentVolumeClaim"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    volumes = {item["name"]: item for item in pod["volumes"]}
    mounts = {item["mountPath"]: item for item in container["volumeMounts"]}
    home = environment["TWOFOLD_HOME"]["value"]
    assert home == "/data"
    assert dockerfile_words("VOLUME") == [home]
    volume = volumes[mounts[home]["name"]]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert not mounts[home].get("readOnly", False)


@pytest.mark.parametrize(
    ("probe", "path"),
    [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")],
)
def test_probe_asks_its_endpoint_on_the_servers_port(
    container: Manifest, probe: str, path: str
) -> None:
    ports = {item["name"]: item["containerPort"] for item in container["ports"]}
    request = container[probe]["httpGet"]
    assert request["path"] == path
    assert ports[request["port"]] == 8000


def test_server_listens_on_the_containers_port_for_everyone(container: Manifest) -> None:
    (port,) = container["ports"]
    args = container["args"]
    assert args[0] == "serve"
    options = dict(zip(args[1::2], args[2::2], strict=True))
    assert options == {
        "--host": "0.0.0.0",
        "--port": str(port["containerPort"]),
        "--profile": "starter",
    }
    assert dockerfile_words("EXPOSE") == [options["--port"]]
    assert json.loads(dockerfile_words("CMD")[0]) == args


def test_startup_probe_waits_for_the_first_export(container: Manifest) -> None:
    probe = container["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 300


def test_pod_runs_as_the_images_unprivileged_user(pod: Manifest) -> None:
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] == context["runAsGroup"] == context["fsGroup"] == USER_ID
    assert dockerfile_words("USER") == [f"{USER_ID}:{USER_ID}"]
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}


def test_container_writes_only_to_its_volumes(pod: Manifest, container: Manifest) -> None:
    context = container["securityContext"]
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    scratch = {item["mountPath"]: item["name"] for item in container["volumeMounts"]}["/tmp"]
    (volume,) = [item for item in pod["volumes"] if item["name"] == scratch]
    assert "emptyDir" in volume


def test_container_states_what_it_needs_and_may_use(container: Manifest) -> None:
    assert container["resources"] == {
        "requests": {"cpu": "500m", "memory": "1Gi"},
        "limits": {"memory": "2560Mi"},
    }


def test_keys_come_from_a_secret_that_must_exist_and_is_not_shipped(
    manifests: dict[str, Manifest], environment: dict[str, Manifest]
) -> None:
    assert environment["TWOFOLD_KEYS"] == {
        "name": "TWOFOLD_KEYS",
        "valueFrom": {"secretKeyRef": {"name": "twofold-keys", "key": "keys"}},
    }
    assert "Secret" not in manifests
    readme = (ROOT / "k8s" / "README.md").read_text(encoding="utf-8")
    assert "create secret generic twofold-keys --from-file=keys=" in readme


def test_pod_gets_no_service_links_that_read_as_settings(pod: Manifest) -> None:
    # A Service `twofold` would otherwise set TWOFOLD_PORT=tcp://10.0.0.1:80 in the container:
    # https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
    assert pod["enableServiceLinks"] is False


def test_pod_carries_no_token_for_the_cluster(
    manifests: dict[str, Manifest], pod: Manifest
) -> None:
    account = manifests["ServiceAccount"]
    assert pod["serviceAccountName"] == account["metadata"]["name"]
    assert pod["automountServiceAccountToken"] is False
    assert account["automountServiceAccountToken"] is False


def test_service_and_network_policy_select_the_pod(
    manifests: dict[str, Manifest], container: Manifest
) -> None:
    deployment = manifests["Deployment"]["spec"]
    labels = deployment["template"]["metadata"]["labels"].items()
    (port,) = container["ports"]
    service = manifests["Service"]["spec"]
    policy = manifests["NetworkPolicy"]["spec"]
    for selector in (
        deployment["selector"]["matchLabels"],
        service["selector"],
        policy["podSelector"]["matchLabels"],
    ):
        assert selector
        assert selector.items() <= labels
    assert [item["targetPort"] for item in service["ports"]] == [port["name"]]
    (rule,) = policy["ingress"]
    assert rule == {"ports": [{"protocol": "TCP", "port": port["name"]}]}


def test_network_policy_lets_nothing_out(manifests: dict[str, Manifest]) -> None:
    policy = manifests["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert not policy.get("egress")


def test_image_build_sees_every_file_the_wheel_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    files = ["pyproject.toml", "constraints.txt", project["project"]["readme"]]
    needed = {*packages, *files, *project["project"]["license-files"]}
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignore
    assert {f"!{name}" for name in needed} <= set(ignore)
