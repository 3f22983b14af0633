"""The audit request. Its JSON form is fixed by the public API."""

from typing import Any, Literal

from pydantic import Field, JsonValue, field_validator

from schemas.base import FiniteFloat, Received, Split
from schemas.data import MAX_URI_CHARACTERS, Data, Uri

Task = Literal["binary", "multiclass", "regression"]
OutputKind = Literal["probability", "logit", "class", "value"]
RequestedKind = Literal["auto", "probability", "logit", "class", "value", "log_probability", "margin", "cumulative"]
MAX_TAGS = 32
QUEUE_PATTERN = r"^[a-z][a-z0-9-]{0,31}$"


class ModelReference(Received):
    uri: Uri = Field(
        min_length=1,
        max_length=MAX_URI_CHARACTERS,
        description="Folder of a SavedModel or of numbered versions, a whole Keras model (`.keras`, `.h5`), or an "
        "archive (zip, tar, tar.gz) of one of these.",
    )
    signature: str | None = Field(
        None,
        description="Signature to run, or function of a model without signatures. Default: `serving_default` (of an "
        "estimator's classifier, `predict`), or the only one.",
    )
    tags: list[str] | None = Field(
        None, min_length=1, description="Tags of the meta graph to load. Default: `serve`, or the only graph's."
    )


class Output(Received):
    tensor: str | None = Field(None, description="Output to judge, where the signature has several.")
    index: int | None = Field(
        None,
        ge=0,
        description="Value to judge, counted from 0, where the output has several a row that do not belong together "
        "(several labels or quantities, quantiles, mean and variance). Names the column of `y` too, where that has "
        "several.",
    )
    step: int | None = Field(None, description="Step to judge, where the output has one answer a step; -1 is the last.")
    kind: RequestedKind = Field(
        "auto",
        description="What the numbers of the output mean. `auto` infers it and says why. `margin`: -1 to 1, as of a "
        "tanh. `cumulative`: the probabilities of lying beyond each class but the last.",
    )
    classes: list[str | int] | None = Field(
        None, min_length=2, description="The labels in the order of the model's outputs."
    )
    threshold: FiniteFloat = Field(
        0.5, ge=0, le=1, description="Binary decisions: positive at or above this probability."
    )


class ReportedMetric(Received):
    """A number that somebody reported for this model."""

    name: str = Field(min_length=1, max_length=100)
    value: FiniteFloat | None = None
    split: Split = "validation"


class History(Received):
    uri: Uri = Field(
        min_length=1,
        max_length=MAX_URI_CHARACTERS,
        description="Keras `History.history` as JSON, a CSVLogger file, or a TensorBoard log folder.",
    )


class Checks(Received):
    include: list[str] | None = Field(None, description="Run these codes (or families, `metrics.*`) alone.")
    exclude: list[str] = Field([], description="Never run these codes or families.")
    limits: dict[str, dict[str, JsonValue]] = Field(
        {}, description="Limits to override, by check name; see the `limits` of the catalogue."
    )


class Gate(Received):
    fail_on: Literal["critical", "warning", "never"] = Field(
        "critical", description="The severity from which `fitcheck audit` exits with 1."
    )


class Resources(Received):
    device: Literal["auto", "cpu", "gpu"] = "auto"
    queue: str | None = Field(
        None,
        pattern=QUEUE_PATTERN,
        description="Class of hardware, as the operator named it. Default: the device's name; with `auto`, `gpu` where "
        "a worker has one.",
    )
    timeout_seconds: float = Field(3600, gt=0, le=7 * 24 * 3600, description="Running time after which the audit ends.")
    max_rows: int | None = Field(None, gt=0, description="Read at most so many rows of each split.")
    engine: Literal["local", "ray"] = Field(
        "local",
        description="Where the data are read and the model answers them: on one machine, or spread over the Ray "
        "cluster that the operator has configured. The report is the same.",
    )


class Callback(Received):
    url: str = Field(min_length=1, max_length=MAX_URI_CHARACTERS)


class AuditRequest(Received):
    """A model, the data that it was trained on, and the data on which it disappoints."""

    model: ModelReference
    data: Data
    task: Literal["auto", "binary", "multiclass", "regression"] = "auto"
    output: Output = Output()
    reported_metrics: list[ReportedMetric] = Field([], max_length=100)
    history: History | None = None
    checks: Checks = Checks()
    gate: Gate = Gate()
    resources: Resources = Resources()
    priority: int = Field(0, ge=-49, le=49, description="Higher runs earlier; among equals, each caller in turn.")
    tags: dict[str, str] = Field({}, description="Free labels, to filter the list by.")
    callback: Callback | None = None

    @property
    def addresses(self) -> dict[str, list[str]]:
        """Field -> the addresses that it holds, for every field that names files."""
        data = self.data
        return {
            "model.uri": [self.model.uri],
            "data.train.uri": data.train.uris,
            "data.validation.uri": data.validation.uris,
            "data.train.label_uri": data.train.label_uris,
            "data.validation.label_uri": data.validation.label_uris,
            "history.uri": [self.history.uri] if self.history else [],
        }

    @field_validator("reported_metrics", mode="before")
    @classmethod
    def _names_alone(cls, value: Any) -> Any:
        if isinstance(value, list):
            return [{"name": v} if isinstance(v, str) else v for v in value]
        return value

    @field_validator("tags")
    @classmethod
    def _few_and_short(cls, value: dict[str, str]) -> dict[str, str]:
        if len(value) > MAX_TAGS or any(not k or len(k) > 64 or len(v) > 256 for k, v in value.items()):
            raise ValueError(f"give at most {MAX_TAGS} tags, keys of 1 to 64 and values of at most 256 characters")
        return value
