"""schemas <- audits <- service; TensorFlow in audits.models alone; the API knows no engine."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("schemas", "audits", "service")
# What may reach TensorFlow: the models, and the engine that puts everything together.
MAY_REACH_MODELS = {"models", "engine", "__init__"}

SERVE_ONE_REQUEST = """
import asyncio, httpx
from service.api.app import create_app
from service.settings import Settings
from tests.service.fakes import FakeJobs

async def ask():
    app = create_app(Settings(), FakeJobs())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://fitcheck.test") as client:
        body = {"model": {"uri": "nothing"}, "data": {"train": {"uri": "a.csv"}, "validation": {"uri": "b.csv"}}}
        answer = await client.post("/v1/audits", json=body)
        assert answer.status_code == 422, answer.text
        assert (await client.get("/v1/catalogue")).status_code == 200

asyncio.run(ask())
"""


def modules_after(code: str) -> set[str]:
    """What is imported in a fresh process that has run the code."""
    script = f"{code}\nimport sys\nprint()\nprint(*sys.modules)"
    return set(run([sys.executable, "-c", script]).splitlines()[-1].split())


def run(command: list[str | Path]) -> str:
    """What the command prints; fails with it where the command fails."""
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def top_levels(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


def test_the_import_contracts_hold():
    assert "0 broken" in run([Path(sys.executable).with_name("lint-imports")])


def test_the_contract_on_tensorflow_covers_everything_but_the_engine():
    """A new package of `audits` must be listed, or it could reach TensorFlow unseen."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    listed = {name for c in contracts if "tensorflow" in c.get("forbidden_modules", ()) for name in c["source_modules"]}
    parts = {
        path.stem for path in (ROOT / "audits").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    uncovered = {f"audits.{part}" for part in parts - MAY_REACH_MODELS} - listed

    assert not {part for part in uncovered if "audits.models" in imported_by(part)}
    assert {"service.api", "service.jobs", "schemas"} <= listed


def imported_by(module: str) -> set[str]:
    """The modules that the top of a module of ours names."""
    path = ROOT / Path(*module.split("."))
    files = path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")]
    return {name for file in files for name in imports_of(file)}


def imports_of(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


@pytest.mark.parametrize("package", PACKAGES)
def test_only_audits_models_names_tensorflow(package: str):
    offenders = [
        str(file.relative_to(ROOT))
        for file in (ROOT / package).rglob("*.py")
        if ROOT / "audits" / "models" not in file.parents
        and {"tensorflow", "keras"} & {name.partition(".")[0] for name in imports_of(file)}
    ]

    assert offenders == []


@pytest.fixture(scope="module")
def modules_of_the_api() -> set[str]:
    return modules_after(SERVE_ONE_REQUEST)


def test_the_api_imports_neither_tensorflow_nor_what_runs_models(modules_of_the_api: set[str]):
    assert not {"tensorflow", "keras"} & top_levels(modules_of_the_api)
    assert not {module for module in modules_of_the_api if module.startswith("audits.models")}
    assert "audits.engine" not in modules_of_the_api


def test_the_api_imports_no_learner(modules_of_the_api: set[str]):
    """It would cost every API process seconds and memory for nothing."""
    assert "sklearn" not in top_levels(modules_of_the_api)


def test_schemas_import_nothing_of_ours():
    modules = modules_after("import schemas.job, schemas.limits, schemas.catalogue, schemas.request, schemas.report")

    assert not {"audits", "service", "numpy"} & top_levels(modules)


def test_the_engine_runs_without_the_service():
    modules = modules_after("import audits.engine")

    assert not {"service", "fastapi", "dbos", "sqlalchemy", "tensorflow"} & top_levels(modules)


def test_a_client_loads_neither_the_service_nor_the_engine():
    """It runs in notebooks and in trainings, where each second of start-up is noticed."""
    modules = modules_after("import fitcheck, fitcheck.models")

    assert not {"fastapi", "dbos", "sqlalchemy", "tensorflow", "keras", "numpy", "typer"} & top_levels(modules)


def test_the_api_loads_no_client(modules_of_the_api: set[str]):
    assert not {module for module in modules_of_the_api if module.startswith("service.client")}
    assert "fitcheck" not in modules_of_the_api
