"""The audit request. Its JSON form is fixed by the public API."""

from typing import Any, Literal

from pydantic import Field, JsonValue, field_validator, model_validator

from schemas.base import FiniteFloat, Received

Uri = str
Task = Literal["binary", "multiclass", "regression"]
OutputKind = Literal["probability", "logit", "class", "value"]
RequestedKind = Literal["auto", "probability", "logit", "class", "value", "log_probability", "margin", "cumulative"]
MAX_URI_CHARACTERS = 2048
MAX_URIS = 10_000
MAX_TAGS = 32


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


class DataReference(Received):
    uri: Uri | list[Uri] = Field(description="A file, a folder, a glob, or a list of these.")

    @field_validator("uri")
    @classmethod
    def _usable(cls, value: Uri | list[Uri]) -> Uri | list[Uri]:
        uris = [value] if isinstance(value, str) else value
        if not uris or len(uris) > MAX_URIS or any(not u or len(u) > MAX_URI_CHARACTERS for u in uris):
            raise ValueError(f"give 1 to {MAX_URIS} addresses of 1 to {MAX_URI_CHARACTERS} characters")
        return value

    @property
    def uris(self) -> list[Uri]:
        return [self.uri] if isinstance(self.uri, str) else list(self.uri)


class Data(Received):
    train: DataReference
    validation: DataReference
    label: str | None = Field(None, description="Name of the label column. Required for tables.")
    features: list[str] | None = Field(
        None,
        min_length=1,
        description="Feature columns in the model's order. Default: all others, in file order.",
    )
    weight: str | None = Field(
        None, description="Column of row weights: no feature. Weighted metrics are reported beside the plain ones."
    )
    id: str | None = Field(None, description="Column that identifies a row: no feature.")
    group: str | None = Field(None, description="Column of dependent rows (patient, user): no feature.")
    time: str | None = Field(None, description="Column of time stamps: no feature.")

    @property
    def roles(self) -> dict[str, str]:
        """Role -> column, for the columns that are never features."""
        named = {
            "label": self.label,
            "weight": self.weight,
            "id": self.id,
            "group": self.group,
            "time": self.time,
        }
        return {role: column for role, column in named.items() if column is not None}

    @model_validator(mode="after")
    def _roles_differ(self) -> "Data":
        taken: dict[str, str] = {}
        for role, column in self.roles.items():
            if column in taken:
                raise ValueError(f"column {column!r} cannot be both {taken[column]} and {role}")
            taken[column] = role
        for column in self.features or ():
            if column in taken:
                raise ValueError(f"column {column!r} cannot be both a feature and the {taken[column]}")
        return self


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
    split: Literal["train", "validation"] = "validation"


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
    timeout_seconds: float = Field(3600, gt=0, le=7 * 24 * 3600, description="Running time after which the audit ends.")
    max_rows: int | None = Field(None, gt=0, description="Read at most so many rows of each split.")


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
    priority: int = Field(0, ge=-49, le=49, description="Higher runs earlier.")
    tags: dict[str, str] = Field({}, description="Free labels, to filter the list by.")
    callback: Callback | None = None

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
