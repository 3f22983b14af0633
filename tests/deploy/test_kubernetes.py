"""The manifests in deploy/kubernetes are valid, agree with each other and with the code.

They are read and put together, not applied: no cluster is needed here.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from service.api import examiner
from service.settings import Settings

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "deploy" / "kubernetes"
SCHEMAS = Path(__file__).parent / "schemas"
KUBERNETES = "1.33"
OVERLAYS = ["trial", "production"]
WORKLOADS = {"Deployment", "StatefulSet", "Job"}

Manifest = dict[str, Any]


def files() -> list[Path]:
    return sorted(path for path in MANIFESTS.rglob("*.yaml") if path.name != "kustomization.yaml")


def validate(manifest: Manifest) -> None:
    """Raises where the API server would refuse it."""
    if manifest["apiVersion"].startswith("keda.sh/"):
        schema = json.loads((SCHEMAS / f"{manifest['kind'].lower()}.json").read_text())
        jsonschema.validate(manifest, schema)
    else:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


@pytest.fixture(scope="module", params=OVERLAYS)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    """What an overlay comes to."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed: it puts overlays together")
    folder = tmp_path_factory.mktemp("deploy") / "kubernetes"
    shutil.copytree(MANIFESTS, folder)
    shutil.copy(folder / "overlays/trial/secrets.env.example", folder / "overlays/trial/secrets.env")
    command = [kubectl, "kustomize", str(folder / "overlays" / request.param)]
    text = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    return list(yaml.safe_load_all(text))


def of_kind(manifests: list[Manifest], *kinds: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def pods(manifests: list[Manifest]) -> list[Manifest]:
    return [manifest["spec"]["template"] for manifest in of_kind(manifests, *WORKLOADS)]


def containers(manifests: list[Manifest]) -> list[Manifest]:
    return [container for pod in pods(manifests) for container in pod["spec"]["containers"]]


def selects(selector: dict[str, str], pod: Manifest) -> bool:
    return selector.items() <= pod["metadata"]["labels"].items()


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(MANIFESTS)))
def test_every_manifest_is_valid(path: Path) -> None:
    """Strictly: a field that does not exist is an error."""
    for manifest in yaml.safe_load_all(path.read_text()):
        validate(manifest)


def test_a_misspelt_field_is_noticed() -> None:
    """The validators do validate."""
    worker, _ = yaml.safe_load_all((MANIFESTS / "base/worker-cpu.yaml").read_text())
    worker["spec"]["template"]["spec"]["terminationGraceSeconds"] = 1
    scaled = yaml.safe_load((MANIFESTS / "components/autoscaling/worker-cpu.yaml").read_text())
    scaled["spec"]["minReplicas"] = 1

    with pytest.raises(kubernetes_validate.ValidationError):
        validate(worker)
    with pytest.raises(jsonschema.ValidationError):
        validate(scaled)


def test_every_overlay_is_valid(built: list[Manifest]) -> None:
    for manifest in built:
        validate(manifest)


def test_every_pod_meets_the_restricted_standard(built: list[Manifest]) -> None:
    """The namespace enforces it: a pod that does not would never start."""
    for pod in pods(built):
        security = pod["spec"]["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["spec"]["automountServiceAccountToken"] is False
    for container in containers(built):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]


def test_every_variable_is_a_setting(built: list[Manifest]) -> None:
    """A misspelt variable would be ignored in silence."""
    known = {f"FITCHECK_{name.upper()}" for name in Settings.model_fields}
    named = {entry["name"] for container in containers(built) for entry in container.get("env", [])}
    named |= {key for settings in of_kind(built, "ConfigMap") for key in settings["data"]}
    ours = {name for name in named if name.startswith("FITCHECK_")}

    assert "FITCHECK_SLOTS" in ours
    assert ours <= known


def test_workers_are_given_time_to_finish_and_to_hand_over(built: list[Manifest]) -> None:
    workers = [
        pod for pod in pods(built) if "worker" in pod["metadata"]["labels"].get("app.kubernetes.io/component", "")
    ]
    for pod in workers:
        (container,) = pod["spec"]["containers"]
        (seconds,) = [int(e["value"]) for e in container["env"] if e["name"] == "FITCHECK_SHUTDOWN_SECONDS"]
        assert pod["spec"]["terminationGracePeriodSeconds"] > seconds + 5

    assert workers


def components(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Component -> its pod, of those that take or do audits."""
    found = {pod["metadata"]["labels"].get("app.kubernetes.io/component", ""): pod for pod in pods(manifests)}
    return {name: pod for name, pod in found.items() if name == "api" or name.startswith("worker")}


def test_api_and_workers_share_the_uploads(built: list[Manifest]) -> None:
    """What a client sent to one pod is read by another, which must not change it."""
    (settings,) = of_kind(built, "ConfigMap")
    folder = settings["data"]["FITCHECK_UPLOADS_DIR"]
    for name, pod in components(built).items():
        (container,) = pod["spec"]["containers"]
        mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
        (volume,) = [v for v in pod["spec"]["volumes"] if v["name"] == mounts[folder]["name"]]
        is_read_only = name != "api"
        assert volume["persistentVolumeClaim"]["claimName"] == "fitcheck-uploads"
        assert mounts[folder].get("readOnly", False) is is_read_only
        assert volume["persistentVolumeClaim"].get("readOnly", False) is is_read_only

    assert {"api", "worker-cpu"} <= components(built).keys()


def test_uploads_are_shared_by_as_many_nodes_as_there_are(built: list[Manifest]) -> None:
    """A volume of one node would keep every pod on another from starting; the trial has one node."""
    (claim,) = [m for m in of_kind(built, "PersistentVolumeClaim") if m["metadata"]["name"] == "fitcheck-uploads"]
    is_trial = bool(of_kind(built, "StatefulSet"))

    assert claim["spec"]["accessModes"] == (["ReadWriteOnce"] if is_trial else ["ReadWriteMany"])


def test_every_claim_that_is_mounted_is_there_or_told_to_be_made(built: list[Manifest]) -> None:
    mounted = {
        volume["persistentVolumeClaim"]["claimName"]
        for pod in pods(built)
        for volume in pod["spec"]["volumes"]
        if "persistentVolumeClaim" in volume
    }
    made = {m["metadata"]["name"] for m in of_kind(built, "PersistentVolumeClaim")}

    assert mounted - made <= {"fitcheck-data"}
    assert "`fitcheck-data`" in (MANIFESTS / "base/kustomization.yaml").read_text()


def test_replicas_of_the_api_sign_sessions_alike(built: list[Manifest]) -> None:
    """Each with a secret of its own would log a browser out at every other click."""
    (api,) = components(built)["api"]["spec"]["containers"]
    (taken,) = [source["secretRef"]["name"] for source in api["envFrom"] if "secretRef" in source]
    made = {secret["metadata"]["name"]: secret["data"] for secret in of_kind(built, "Secret")}

    assert taken == "fitcheck" or made[taken]["FITCHECK_SESSION_SECRET"]
    deployment = (ROOT / "docs/deployment.md").read_text()
    assert "--from-literal=FITCHECK_SESSION_SECRET=" in deployment
    for placeholder in re.findall(r"@\w+@", (MANIFESTS / "overlays/trial/secrets.env.example").read_text()):
        assert f"s/{placeholder}/" in deployment


def test_examinations_fit_into_the_memory_of_the_api(built: list[Manifest], monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them at their worst, beside what the API itself asks for; a container sees the cores of its node."""
    (api,) = components(built)["api"]["spec"]["containers"]
    limit, asked = (quantity(api["resources"][kind]["memory"]) for kind in ("limits", "requests"))
    monkeypatch.setattr(examiner, "memory_bytes", lambda: limit)
    monkeypatch.setattr(examiner, "cores", lambda: 64)

    assert examiner.places() * examiner.EXAMINATION_BYTES + asked <= limit


def quantity(text: str) -> int:
    """Bytes."""
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", text).groups()
    return int(number) * {"Mi": 2**20, "Gi": 2**30}[unit]


def test_access_keys_reach_the_api_alone(built: list[Manifest]) -> None:
    """A worker needs none of them."""
    for pod in pods(built):
        wants_all = any("secretRef" in source for c in pod["spec"]["containers"] for source in c.get("envFrom", []))
        component = pod["metadata"]["labels"].get("app.kubernetes.io/component", "")
        assert not (wants_all and "worker" in component)


def test_every_selector_finds_its_pods(built: list[Manifest]) -> None:
    selectors = [m["spec"]["selector"]["matchLabels"] for m in of_kind(built, "PodDisruptionBudget")]
    selectors += [m["spec"]["selector"] for m in of_kind(built, "Service")]
    selectors += [m["spec"]["podSelector"]["matchLabels"] for m in of_kind(built, "NetworkPolicy")]

    assert all(any(selects(selector, pod) for pod in pods(built)) for selector in selectors)


def test_no_policy_reaches_beyond_its_purpose(built: list[Manifest]) -> None:
    """The database of the trial accepts what ours would not let in."""
    (ours,) = [m for m in of_kind(built, "NetworkPolicy") if m["metadata"]["name"] == "fitcheck"]
    selected = [pod for pod in pods(built) if selects(ours["spec"]["podSelector"]["matchLabels"], pod)]

    assert all(pod["metadata"]["labels"]["app.kubernetes.io/name"] == "fitcheck" for pod in selected)


def test_every_deployment_of_ours_may_be_disrupted_one_at_a_time(built: list[Manifest]) -> None:
    budgets = [m["spec"]["selector"]["matchLabels"] for m in of_kind(built, "PodDisruptionBudget")]
    for deployment in of_kind(built, "Deployment"):
        assert any(selects(selector, deployment["spec"]["template"]) for selector in budgets)


def test_what_is_scaled_exists_and_keeps_no_number_of_its_own(built: list[Manifest]) -> None:
    """Applying the manifests again would set it back."""
    deployments = {m["metadata"]["name"]: m for m in of_kind(built, "Deployment")}
    for scaled in of_kind(built, "ScaledObject"):
        target = deployments[scaled["spec"]["scaleTargetRef"]["name"]]
        assert "replicas" not in target["spec"]
        (trigger,) = scaled["spec"]["triggers"]
        names = {m["metadata"]["name"] for m in of_kind(built, "TriggerAuthentication")}
        assert trigger["authenticationRef"]["name"] in names


def test_workers_are_added_for_as_many_audits_as_one_takes(built: list[Manifest]) -> None:
    deployments = {m["metadata"]["name"]: m for m in of_kind(built, "Deployment")}
    for scaled in of_kind(built, "ScaledObject"):
        target = deployments[scaled["spec"]["scaleTargetRef"]["name"]]
        (container,) = target["spec"]["template"]["spec"]["containers"]
        slots = [int(e["value"]) for e in container["env"] if e["name"] in {"FITCHECK_SLOTS", "FITCHECK_GPU_SLOTS"}]
        assert int(scaled["spec"]["triggers"][0]["metadata"]["targetQueryValue"]) == sum(slots)


def test_only_the_gpu_worker_asks_for_gpus(built: list[Manifest]) -> None:
    for container in containers(built):
        wants = "nvidia.com/gpu" in container["resources"]["limits"]
        assert wants == ("worker-gpu" in container["image"])


def test_images_are_targets_of_the_dockerfile() -> None:
    targets = set(re.findall(r"^FROM .* AS (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    texts = [path.read_text() for path in files()]
    images = {image for text in texts for image in re.findall(r"image: fitcheck-(\S+)", text)}

    assert images == {"api", "worker-cpu", "worker-gpu"}
    assert {image.split("-")[0] for image in images} <= targets
