"""Dockerfile, .dockerignore, docker-compose.yml and the lock agree with each other and with the code.

They are read, not run: no container engine is needed here.
"""

import fnmatch
import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from service.settings import Settings

ROOT = Path(__file__).parents[2]
SERVICES = ["api", "worker", "worker-cpu"]


def instructions() -> list[tuple[str, str]]:
    """(instruction, rest) of each instruction of the Dockerfile, continuation lines joined."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def stages() -> dict[str, list[tuple[str, str]]]:
    """Stage name -> its instructions."""
    found: dict[str, list[tuple[str, str]]] = {}
    for word, rest in instructions():
        if word == "FROM":
            found[rest.split()[-1]] = []
        elif found:
            found[list(found)[-1]].append((word, rest))
    return found


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def base_of(stage: str) -> str:
    return next(rest.split()[0] for word, rest in instructions() if word == "FROM" and rest.endswith(f" AS {stage}"))


def lineage(stage: str) -> list[tuple[str, str]]:
    """The instructions of a stage and of the stages that it builds upon."""
    base = base_of(stage)
    return ([*lineage(base)] if base in stages() else []) + stages()[stage]


@pytest.fixture(scope="module")
def lock() -> dict[str, Any]:
    return tomllib.loads((ROOT / "uv.lock").read_text())


def test_every_stage_that_is_copied_from_exists() -> None:
    sources = re.findall(r"--from=(\S+)", (ROOT / "Dockerfile").read_text())

    assert sources
    assert set(sources) <= set(stages())


def test_what_is_copied_into_the_image_is_there_and_not_ignored() -> None:
    """.dockerignore leaves out everything but the lines that begin with "!"."""
    admitted = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for word, rest in instructions():
        if word != "COPY" or rest.startswith("--from"):
            continue
        for source in shlex.split(rest)[:-1]:
            assert (ROOT / source).exists(), source
            assert any(fnmatch.fnmatch(source, pattern) for pattern in admitted), source


def test_every_package_of_ours_is_in_the_images() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    for stage in ("build-api", "build-worker"):
        copied = {shlex.split(rest)[0] for word, rest in stages()[stage] if word == "COPY"}
        assert set(packages) <= copied


def test_only_the_worker_installs_tensorflow() -> None:
    def syncs(stage: str) -> list[str]:
        return [rest for word, rest in stages()[stage] if word == "RUN" and "uv sync" in rest]

    assert syncs("build-api")
    assert not any("--extra" in command for command in syncs("build-api"))
    assert all('--extra "${ACCELERATOR}"' in command for command in syncs("build-worker"))


def test_the_locked_dependencies_of_the_api_reach_no_tensorflow(lock: dict[str, Any]) -> None:
    """Not even through another package."""
    packages = {package["name"]: package for package in lock["package"]}
    reached, pending = set(), ["fitcheck"]
    while pending:
        name = pending.pop()
        if name not in reached:
            reached.add(name)
            pending += [dependency["name"] for dependency in packages[name].get("dependencies", [])]

    assert "fastapi" in reached
    assert not reached & {"tensorflow", "tensorflow-cpu", "keras"}


def test_the_images_install_what_is_locked_and_compile_it() -> None:
    for stage in ("build-api", "build-worker"):
        commands = [rest for word, rest in lineage(stage) if word == "RUN"]
        assert all("--frozen --no-dev" in command for command in commands)
        assert any("UV_COMPILE_BYTECODE=1" in rest for word, rest in lineage(stage) if word == "ENV")


@pytest.mark.parametrize("target", ["api", "worker"])
def test_the_images_run_as_an_unprivileged_user_and_receive_signals(target: str) -> None:
    """A command in shell form would leave the signal with the shell."""
    users = [rest for word, rest in lineage(target) if word == "USER"]
    commands = [rest for word, rest in lineage(target) if word == "CMD"]

    assert users[-1] == "65532:65532"
    assert commands[-1].startswith("[")


def test_the_image_of_the_api_holds_no_program_but_python() -> None:
    """It begins with nothing, and takes over what is left when the programs are gone."""
    assert base_of("api") == "scratch"
    copied = [rest for word, rest in stages()["api"] if word in {"COPY", "ADD", "RUN"}]
    assert copied == ["--from=api-files / /"]

    *_, (word, last) = stages()["api-files"]
    assert word == "RUN"
    assert last.endswith('["python", "/tmp/remove_programs.py", "/"]')
    bound = re.search(r"source=(\S+?),target=/tmp/remove_programs.py", last)
    assert bound is not None
    assert (ROOT / bound[1]).is_file()
    assert f"!{Path(bound[1]).parent}" in (ROOT / ".dockerignore").read_text().splitlines()
    # In shell form, it could not be run.
    for word, rest in lineage("api"):
        if word in {"CMD", "ENTRYPOINT", "HEALTHCHECK"}:
            assert "[" in rest


def test_both_images_are_set_up_alike() -> None:
    """The API's begins with nothing, so that it says anew what the other inherits."""

    def variables(target: str) -> dict[str, str]:
        texts = [rest for word, rest in lineage(target) if word == "ENV"]
        return dict(pair.split("=", 1) for text in texts for pair in shlex.split(text))

    api, worker = variables("api"), variables("worker")
    differing = {name for name in worker if api.get(name) != worker[name]}

    assert differing == {"PATH"}
    assert api["PATH"].split(":")[0] == worker["PATH"].split(":")[0]
    for word in ("WORKDIR", "STOPSIGNAL", "USER"):
        assert [rest for name, rest in lineage("api") if name == word][-1] == [
            rest for name, rest in lineage("worker") if name == word
        ][-1]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """What of a Debian image matters here."""
    files = (
        *("usr/bin/dash", "usr/bin/apt-get", "usr/sbin/useradd", "usr/lib/apt/methods/http", "var/lib/dpkg/status"),
        *("usr/local/bin/python3.12", "usr/local/bin/pip3", "usr/local/bin/idle3", "usr/local/bin/python3.12-config"),
        *("usr/local/lib/libpython3.12.so.1.0", "usr/local/lib/python3.12/os.py"),
        *("usr/local/lib/python3.12/ensurepip/__init__.py", "usr/local/lib/python3.12/site-packages/pip/__main__.py"),
        *("usr/lib/x86_64-linux-gnu/libc.so.6", "etc/passwd", "etc/ssl/certs/ca-certificates.crt"),
        *("app/.venv/bin/fitcheck", "app/.venv/lib/python3.12/site-packages/service/__init__.py"),
    )
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "lib64").symlink_to("usr/lib")
    (tmp_path / "usr/bin/sh").symlink_to("dash")
    (tmp_path / "usr/local/bin/python").symlink_to("python3.12")
    return tmp_path


def test_programs_are_removed_and_what_python_needs_stays(root: Path) -> None:
    script = ROOT / "deploy/images/remove_programs.py"
    subprocess.run([sys.executable, "-I", script, root], check=True, timeout=60)
    left = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}

    assert left == {
        *("usr/local/bin/python", "usr/local/bin/python3.12", "usr/local/lib/libpython3.12.so.1.0"),
        *("usr/local/lib/python3.12/os.py", "usr/lib/x86_64-linux-gnu/libc.so.6"),
        *("etc/passwd", "etc/ssl/certs/ca-certificates.crt"),
        *("app/.venv/bin/fitcheck", "app/.venv/lib/python3.12/site-packages/service/__init__.py"),
    }


@pytest.mark.parametrize("target", ["api", "worker"])
def test_the_images_say_whether_they_are_healthy(target: str) -> None:
    checks = [rest for word, rest in lineage(target) if word == "HEALTHCHECK"]

    assert len(checks) == 1
    assert "CMD [" in checks[0]


def test_one_version_of_uv() -> None:
    """What builds the images is what sets a checkout up."""
    dockerfile = re.search(r"^ARG UV_VERSION=(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    setup = re.search(r"UV_VERSION=(\S+)", (ROOT / "scripts/setup.sh").read_text())

    assert dockerfile is not None
    assert setup is not None
    assert dockerfile.group(1) == setup.group(1)


def test_the_images_run_a_supported_python() -> None:
    version = re.search(r"^ARG PYTHON_VERSION=(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert version is not None
    assert f"Programming Language :: Python :: {version.group(1)}" in project["classifiers"]


def test_compose_follows_its_specification() -> None:
    """A misspelt key is an error."""
    schema = json.loads((Path(__file__).parent / "schemas/compose.json").read_text())
    loaded = compose()
    del loaded["name"]  # younger than this edition of the schema

    jsonschema.validate(loaded, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"services": {"api": {"imagee": "x"}}}, schema)


@pytest.mark.parametrize("name", SERVICES)
def test_compose_builds_stages_that_exist_for_extras_that_exist(name: str) -> None:
    build = compose()["services"][name]["build"]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

    assert build["target"] in stages()
    assert build.get("args", {}).get("ACCELERATOR", "cpu") in extras


def test_compose_starts_workers_by_profile_and_the_rest_always() -> None:
    profiles = {name: service.get("profiles") for name, service in compose()["services"].items()}

    assert profiles == {"postgres": None, "api": None, "worker-cpu": ["cpu"], "worker": ["gpu"]}


def test_compose_reserves_gpus_for_the_gpu_worker_alone() -> None:
    services = compose()["services"]
    (device,) = services["worker"]["deploy"]["resources"]["reservations"]["devices"]

    assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    assert "deploy" not in services["worker-cpu"]


@pytest.mark.parametrize("name", SERVICES)
def test_compose_waits_for_a_healthy_database(name: str) -> None:
    services = compose()["services"]

    assert services[name]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert "healthcheck" in services["postgres"]


@pytest.mark.parametrize("name", SERVICES)
def test_compose_gives_the_services_no_more_than_they_need(name: str) -> None:
    service = compose()["services"][name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert any(volume.endswith(":/data:ro") for volume in service["volumes"])


def test_compose_declares_the_volumes_that_it_mounts() -> None:
    loaded = compose()
    mounted = {volume.split(":")[0] for service in loaded["services"].values() for volume in service["volumes"]}
    named = {volume for volume in mounted if not volume.startswith(("$", ".", "/"))}

    assert named == set(loaded["volumes"])


def test_compose_publishes_on_loopback_and_asks_for_a_key() -> None:
    api = compose()["services"]["api"]

    assert all(port.startswith("127.0.0.1:") for port in api["ports"])
    assert ":?" in api["environment"]["FITCHECK_API_KEYS"]


@pytest.mark.parametrize("file", ["Dockerfile", "docker-compose.yml"])
def test_every_variable_is_a_setting(file: str) -> None:
    """A misspelt variable would be ignored in silence."""
    text = "\n".join(line for line in (ROOT / file).read_text().splitlines() if not line.startswith("#"))
    used = set(re.findall(r"FITCHECK_([A-Z_]+)(?=[=:] ?\S)", text)) - {"DATA"}

    assert used
    assert used <= {name.upper() for name in Settings.model_fields}
