"""From a plan to a case folder."""

import json
import shutil
import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.cases import data_faults, training_faults  # noqa: F401 - they enter their faults
from benchmarks.cases.controls import why_not_healthy
from benchmarks.cases.draft import Draft, draw
from benchmarks.cases.faults import FAULTS, Size
from benchmarks.cases.networks import Network, fit, inputs_of
from benchmarks.cases.worlds import world
from schemas.request import AuditRequest
from service.cli.options import AuditOptions
from service.cli.requests import request_from

NETWORKS: dict[str, tuple[int, ...]] = {"small": (8,), "medium": (32, 16), "large": (128, 64)}
NO_FALSE_ALARM = ("metrics.small_validation",)


@dataclass(frozen=True)
class Plan:
    """One audit to come: which data, which network, what is wrong."""

    number: int
    world: str
    network: str
    n_validation: int
    seed: int
    fault: str | None = None
    size: Size | None = None

    @property
    def name(self) -> str:
        wrong = f"{self.fault}-{self.size}" if self.fault else "healthy"
        return f"{self.number:04d}-{self.world}-{wrong}-{self.network}-{self.n_validation}"


@dataclass(frozen=True)
class Truth:
    """What is wrong with a case, and what it costs.

    Attributes:
        primary: the code of the injected fault; None for a healthy case.
        evidence: the metric (balanced accuracy or R2) on training rows, validation rows, and without the fault.
    """

    primary: str | None
    also: tuple[str, ...]
    tolerated: tuple[str, ...]
    evidence: dict[str, float]

    @property
    def right(self) -> set[str]:
        return {self.primary, *self.also} - {None}  # type: ignore[arg-type]

    @property
    def damage(self) -> float:
        return self.evidence["without_fault"] - self.evidence["validation"]


def make(plan: Plan, folder: Path) -> str | None:
    """Write the case, in a process that may use TensorFlow; says why where there is none."""
    draft = draw(world(plan.world), plan.n_validation, plan.seed)
    draft.recipe.units = NETWORKS[plan.network]
    fault = FAULTS[plan.fault] if plan.fault else None
    strength = fault.strengths[plan.size] if fault and plan.size else 0.0
    if fault and fault.at == "before":
        fault.inject(draft, strength)
    draft.standardise()
    network = fit(draft, plan.seed)
    clean = draft.validation.copy()
    if fault and fault.at == "after":
        fault.inject(draft, strength)
    evidence = {
        "train": network.score(draft.train),
        "validation": network.score(draft.validation),
        "without_fault": network.score(clean),
    }
    if fault is None and (why := why_not_healthy(network, draft)):
        return why
    tolerated = NO_FALSE_ALARM if fault is None else fault.tolerated
    truth = Truth(fault.code if fault else None, fault.right if fault else (), tolerated, evidence)
    _write(folder, network, draft, truth, as_csv=zlib.crc32(plan.name.encode()) % 2 == 0)
    return None


def _write(folder: Path, network: Network, draft: Draft, truth: Truth, *, as_csv: bool) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    network.export(folder / "model")
    ending = "npz" if draft.world.image_shape else "csv" if as_csv else "parquet"
    for name, part in (("train", draft.train), ("validation", draft.validation)):
        _write_split(folder / f"{name}.{ending}", part.reset_index(drop=True), draft)
    data: dict[str, Any] = {name: {"uri": f"{name}.{ending}"} for name in ("train", "validation")}
    if ending != "npz":
        data |= {"label": "label", **draft.roles}
    request: dict[str, Any] = {"model": {"uri": "model"}, "data": data}
    reported: list[dict[str, Any]] = [{"name": name} for name in draft.reported]
    reported += [
        {"name": name, "value": round(min(1.0, network.accuracy(draft.validation) + by), 3)}
        for name, by in draft.exaggerated.items()
    ]
    if reported:
        request["reported_metrics"] = reported
    if draft.with_history:
        (folder / "history.json").write_text(json.dumps(network.history))
        request["history"] = {"uri": "history.json"}
    (folder / "request.json").write_text(json.dumps(request, indent=1))
    (folder / "truth.json").write_text(json.dumps(asdict(truth), indent=1))


def _write_split(path: Path, part: pd.DataFrame, draft: Draft) -> None:
    if path.suffix == ".npz":
        np.savez_compressed(path, x=inputs_of(draft, part), y=part["label"].to_numpy())
    elif path.suffix == ".csv":
        part.to_csv(path, index=False)
    else:
        part.to_parquet(path, index=False)


def request_of(folder: Path) -> AuditRequest:
    return request_from(AuditOptions(request=folder / "request.json"))


def truth_of(folder: Path) -> Truth:
    """Of our cases, and of any folder that has the same truth.json."""
    known = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    return replace(
        Truth(known["primary"], (), (), known["evidence"]),
        also=tuple(known["also"]),
        tolerated=tuple(known["tolerated"]),
    )
