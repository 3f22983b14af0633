"""Case folders as plain files: features, labels and what the model says, for tools that know no SavedModel."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from audits.artefacts import Rows
from audits.evidence.binding import bind
from audits.evidence.collect import collect
from audits.evidence.meaning.heads import candidates, choose_head
from audits.models.process import start_model
from audits.sources import Roots, describe_model, open_splits
from audits.sources.locations import resolve
from benchmarks.cases import request_of
from schemas.problem import ProblemError


@dataclass(frozen=True)
class _Part:
    frame: pd.DataFrame
    predictions: npt.NDArray[Any]


def prepare_once(folder: Path, target: Path) -> str | None:
    """Prepare a case that is not; says why where it cannot be."""
    if not (target / "case.json").exists():
        try:
            prepare(folder, target)
        except ProblemError as problem:
            return f"{problem.code}: {problem.detail}"
    return None


def prepare(folder: Path, target: Path) -> None:
    """Write case.json, train.parquet, validation.parquet and predictions.npz.

    Predictions are (rows, classes) probabilities or (rows,) values; the label column is `label`, class names as text.

    Raises:
        ProblemError: the case cannot be read.
    """
    request, roots = request_of(folder), Roots((folder.resolve(),))
    model_path = resolve(request.model.uri, roots, field="model.uri")[0]
    description = describe_model(model_path, signature=request.model.signature, tags=request.model.tags)
    splits = open_splits(request.data, roots, max_rows=None, model=description)
    binding = bind(splits[0], description)
    heads = candidates(description, request)
    rng = np.random.default_rng(0)
    with start_model(description) as model:
        train, validation = (
            collect(split, lambda rows: model.predict(binding.inputs(rows)), rng, lambda _: None) for split in splits
        )
    meaning = choose_head(heads, train.outputs, description.output_ops, train.labels, request)
    space = meaning.labels
    parts = {}
    for name, raw in (("train", train), ("validation", validation)):
        frame = _frame(raw.sample_rows).assign(**raw.roles)
        labels = space.encode(raw.labels, raw.name)
        named = labels if space.task == "regression" else [space.names[i] if i >= 0 else "unknown" for i in labels]
        said = meaning.read(raw.outputs[meaning.tensor])
        values = said.values if said.probabilities is None else said.probabilities
        assert values is not None
        parts[name] = _Part(frame.assign(label=named), values)
    target.mkdir(parents=True, exist_ok=True)
    for name, part in parts.items():
        part.frame.to_parquet(target / f"{name}.parquet", index=False)
    np.savez(target / "predictions.npz", **{name: part.predictions for name, part in parts.items()})  # type: ignore[arg-type]
    roles = {role: column for role, column in request.data.roles.items() if role != "label"}
    about = {
        "task": space.task,
        "classes": [] if space.task == "regression" else list(space.names),
        "roles": {role: role for role in roles},
        "images": splits[0].layout == "array",
    }
    (target / "case.json").write_text(json.dumps(about), encoding="utf-8")


def _frame(rows: Rows) -> pd.DataFrame:
    if isinstance(rows, pd.DataFrame):
        return rows
    flat = rows.reshape(len(rows), -1)
    return pd.DataFrame(flat, columns=[f"value_{i:03d}" for i in range(flat.shape[1])])
