"""Cases from plain arrays, so that the engine's statistics are tested without TensorFlow.

`splits` draws two splits of a world whose truth is known; a model is a function that is fitted to the training
split and answers a matrix of numbers; a fault is a function that spoils a split. `case` puts the three together
as the engine does.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist
from scipy.special import expit, softmax
from sklearn.linear_model import LinearRegression, LogisticRegression

from audits.artefacts import Array, Batch, Column, ModelDescription, ModelInternals, Rows, Span, SplitName, TensorSpec
from audits.checks.preprocessing import target_leakage
from audits.evidence.case import Case, SplitEvidence, Subject
from audits.evidence.collect import collect
from audits.evidence.features import FeatureSpace, Layout
from audits.evidence.fold import RawSplit
from audits.evidence.meaning.understanding import Head, understand
from audits.evidence.outputs import OutputMeaning
from audits.evidence.scoring import Scorer
from audits.registry import CHECKS, SUSPECTS, WITNESSED
from audits.repairs.protocol import mend
from audits.repairs.witness import as_the_model_saw
from audits.results import CheckResult
from schemas.limits import limits_for
from schemas.report import Severity
from schemas.request import AuditRequest

SEED = 20_260
TENSOR = "output"
IMAGE_SIDE = 6

Task = Literal["binary", "multiclass", "regression"]
Answer = Callable[[Array], Array]


@dataclass(frozen=True)
class Part:
    """The rows of a split: features, labels as read, and the group of each row where there is one."""

    x: Rows
    y: Array
    groups: Array | None = None

    def __len__(self) -> int:
        return len(self.y)

    @property
    def numbers(self) -> Array:
        """(rows, values) float64; texts are left out."""
        return numbers(self.x)

    def at(self, index: Array) -> "Part":
        x = self.x[index] if isinstance(self.x, np.ndarray) else self.x.iloc[index].reset_index(drop=True)
        return Part(x, self.y[index], None if self.groups is None else self.groups[index])

    def with_numbers(self, values: Array) -> "Part":
        """The same rows with other numbers, (rows, values)."""
        if isinstance(self.x, np.ndarray):
            return replace(self, x=values.reshape(self.x.shape).astype(self.x.dtype))
        names = self.x.select_dtypes("number").columns
        return replace(self, x=self.x.assign(**{name: values[:, i] for i, name in enumerate(names)}))


Fault = Callable[[Part, Part, np.random.Generator], Part]
ModelFactory = Callable[[Part, Task], Answer]


def numbers(x: Rows) -> Array:
    if isinstance(x, np.ndarray):
        return x.reshape(len(x), -1).astype(np.float64)
    return x.select_dtypes("number").to_numpy(dtype=np.float64, copy=True)


# Worlds


def splits(
    task: Task = "binary",
    *,
    n_train: int = 500,
    n_validation: int = 300,
    columns: int = 6,
    texts: int = 0,
    categories: int = 0,
    strength: float = 1.0,
    layout: Layout = "table",
    channels: int = 1,
    classes: int = 3,
    signal: float = 3.0,
    prevalence: float = 0.5,
    standardised: bool = False,
    groups: int = 0,
    seed: int = 0,
) -> tuple[Part, Part]:
    """Training and validation rows of one population.

    Args:
        task: binary labels are 0 and 1, those of several classes 0, 1, ...
        n_train, n_validation: rows.
        columns: numeric columns; every second one is skewed, and each has its own place and scale.
        texts: further columns of strings that carry nothing.
        categories: further columns g0, g1, ... of codes 0, 1, ... of 3, 4, ... 8 and again 3 levels, uneven in
            frequency, which move the label up or down and the numbers a little.
        strength: of what the categories say about the label, in deviations of the numbers' part.
        layout: table, vector or image (squares of 6 pixels whose pattern depends on the label).
        channels: of an image.
        classes: of a multiclass task.
        signal: 0 for labels that have nothing to do with the features; 3 for easy ones.
        prevalence: share of the positives of a binary task.
        standardised: whether all columns have mean 0 and deviation 1.
        groups: number of groups in each split; rows of a group share their features' offset.
        seed: of the whole world.
    """
    rng = np.random.default_rng([seed, 1])
    n = n_train + n_validation
    if layout == "image":
        x, y = _images(rng, task, n, channels=channels, classes=classes, signal=signal)
    else:
        z, y, codes = _columns(
            rng,
            task,
            n,
            columns=columns,
            classes=classes,
            signal=signal,
            prevalence=prevalence,
            categories=categories,
            strength=strength,
        )
        place, scale = rng.normal(0, 20, columns), np.exp(rng.normal(0, 1.5, columns))
        x = z if standardised else place + scale * z
    group = rng.integers(0, groups, n) if groups else None
    rows: Rows = np.asarray(x, dtype=np.float32)
    if layout == "vector":
        rows = np.column_stack([rows, codes]).astype(np.float32)
    if layout == "table":
        rows = pd.DataFrame(
            {f"c{i}": x[:, i] for i in range(columns)} | {f"g{i}": codes[:, i] for i in range(categories)}
        )
        for i in range(texts):
            rows[f"t{i}"] = rng.choice(["red", "green", "blue"], n, p=[0.6, 0.3, 0.1]).astype(object)
    whole = Part(rows, y, group)
    return whole.at(np.arange(n_train)), whole.at(np.arange(n_train, n))


def _columns(
    rng: np.random.Generator,
    task: Task,
    n: int,
    *,
    columns: int,
    classes: int,
    signal: float,
    prevalence: float,
    categories: int,
    strength: float,
) -> tuple[Array, Array, Array]:
    """Standardised columns, half of them skewed, labels that depend on their directions, and codes of categories."""
    normal = rng.normal(size=(n, columns))
    codes = np.empty((n, categories), dtype=np.int64)
    pushed = np.zeros((n, classes))
    for i in range(categories):
        levels = 3 + i % 6
        drawn = (normal[:, i % columns] + 1.5 * rng.normal(size=n)).argsort().argsort() / n
        shares = rng.dirichlet(np.full(levels, 4.0))
        codes[:, i] = rng.permutation(levels)[np.searchsorted(np.cumsum(shares)[:-1], drawn)]
        pushed += strength * rng.normal(size=(levels, classes))[codes[:, i]]
    skewed = (np.exp(0.6 * normal) - np.exp(0.18)) / np.sqrt((np.exp(0.36) - 1) * np.exp(0.36))
    z = np.where(np.arange(columns) % 2 == 1, skewed, normal)
    weights = rng.normal(size=(columns, classes))
    weights[0] += 1.5
    score = normal @ (weights / np.linalg.norm(weights, axis=0)) + pushed
    if task == "regression":
        return z, 50 + 10 * (signal * score[:, 0] + rng.normal(size=n)), codes
    if task == "multiclass":
        return z, (signal * score + rng.gumbel(size=(n, classes))).argmax(axis=1), codes
    noisy = signal * score[:, 0] + rng.logistic(size=n)
    return z, (noisy > np.quantile(noisy, 1 - prevalence)).astype(np.int64), codes


def _images(
    rng: np.random.Generator, task: Task, n: int, *, channels: int, classes: int, signal: float
) -> tuple[Array, Array]:
    """Pixels in [0, 1]: a pattern for each class, or one whose strength is the quantity, in noise."""
    shape = (IMAGE_SIDE, IMAGE_SIDE, channels)
    if task == "regression":
        strength = rng.normal(size=n)
        pattern = rng.normal(size=shape) * strength[:, None, None, None]
        y: Array = 5 + 2 * strength
    else:
        y = rng.integers(0, 2 if task == "binary" else classes, n)
        pattern = rng.normal(size=(classes, *shape))[y]
    level = np.linspace(0.3, 0.5, channels)
    # squared: most pixels are dark, so that light and dark are not each other's mirror
    return np.clip(level + 0.03 * signal * pattern + rng.normal(0, 0.15, (n, *shape)), 0, 1) ** 2, y


# Models


def fitted(train: Part, task: Task) -> Answer:
    """A linear model of the standardised numbers, fitted on the training rows: the healthy one."""
    x, y = train.numbers, train.y
    known = np.isfinite(x).all(axis=1)
    x, y = x[known], y[known]
    centre, spread = x.mean(axis=0), _spread(x)
    if task == "regression":
        line = LinearRegression().fit((x - centre) / spread, y)
        return lambda m: np.asarray((m - centre) / spread @ line.coef_ + line.intercept_)
    model = LogisticRegression(max_iter=300, C=1.0).fit((x - centre) / spread, y)
    if task == "binary":
        return lambda m: expit((m - centre) / spread @ model.coef_[0] + model.intercept_[0])
    return lambda m: softmax((m - centre) / spread @ model.coef_.T + model.intercept_, axis=1)


def by_category(train: Part, task: Task) -> Answer:
    """The healthy model with one weight for each value of a column of few values, as an embedding has."""
    levels = {
        i: np.unique(train.numbers[:, i])
        for i in range(train.numbers.shape[1])
        if len(np.unique(train.numbers[:, i])) <= 12
    }

    def encoded(m: Array) -> Array:
        plain = [m[:, i] for i in range(m.shape[1]) if i not in levels]
        return np.column_stack([*plain, *((m[:, [i]] == values).astype(float) for i, values in levels.items())])

    answer = fitted(Part(encoded(train.numbers), train.y), task)
    return lambda m: answer(encoded(m))


def memoriser(train: Part, task: Task) -> Answer:
    """The label of the nearest training row, with full confidence: perfect at home, noise elsewhere."""
    x, y = train.numbers, train.y
    centre, spread = x.mean(axis=0), _spread(x)
    codes = np.unique(y, return_inverse=True)[1]

    def nearest(m: Array) -> Array:
        distances = cdist((m - centre) / spread, (x - centre) / spread)
        return np.asarray(np.argmin(distances, axis=1))

    if task == "regression":
        return lambda m: y[nearest(m)]
    if task == "binary":
        return lambda m: np.where(codes[nearest(m)] == 1, 0.999, 0.001)
    certain = np.eye(codes.max() + 1) * 0.99 + 0.01 / (codes.max() + 1)
    return lambda m: certain[codes[nearest(m)]]


def constant(value: float) -> ModelFactory:
    """Always the same answer: one probability, or one quantity."""
    return lambda train, task: lambda m: np.full(len(m), value)


def miscut(offset: float) -> ModelFactory:
    """A binary model that ranks as well as the healthy one, with its log-odds moved."""

    def build(train: Part, task: Task) -> Answer:
        answer = fitted(train, task)
        return lambda m: expit(np.log(answer(m) / (1 - answer(m))) + offset)

    return build


def weakened(share: float) -> ModelFactory:
    """The healthy model, deaf to all columns but the last; `share` of its strength is left there."""

    def build(train: Part, task: Task) -> Answer:
        answer = fitted(train, task)
        centre = train.numbers.mean(axis=0)

        def deaf(m: Array) -> Array:
            heard = np.broadcast_to(centre, m.shape).copy()
            heard[:, -1] += share * (m[:, -1] - centre[-1])
            return answer(heard)

        return deaf

    return build


def on_column(column: int) -> ModelFactory:
    """The healthy model of one column alone."""

    def build(train: Part, task: Task) -> Answer:
        alone = fitted(Part(train.numbers[:, column : column + 1], train.y), task)
        return lambda m: alone(m[:, column : column + 1])

    return build


def _spread(x: Array) -> Array:
    spread = x.std(axis=0)
    return np.where(spread > 0, spread, 1.0)


# Faults


def scaled(factor: float = 1.0, offset: float = 0.0, columns: Sequence[int] | None = None) -> Fault:
    """Columns multiplied and moved, in the columns' own units."""

    def spoil(part: Part, train: Part, rng: np.random.Generator) -> Part:
        values = part.numbers
        at = slice(None) if columns is None else list(columns)
        values[:, at] = factor * values[:, at] + offset
        return part.with_numbers(values)

    return spoil


def moved(deviations: float, columns: Sequence[int]) -> Fault:
    """Columns moved by so many training deviations."""

    def spoil(part: Part, train: Part, rng: np.random.Generator) -> Part:
        values, at = part.numbers, list(columns)
        values[:, at] += deviations * train.numbers[:, at].std(axis=0)
        return part.with_numbers(values)

    return spoil


def standardised_by_itself(part: Part, train: Part, rng: np.random.Generator) -> Part:
    """A scaler that only this split went through."""
    values = part.numbers
    return part.with_numbers((values - values.mean(axis=0)) / _spread(values))


def reordered(*order: int) -> Fault:
    """Position i holds the values that belong at `order[i]`; positions beyond stay."""

    def spoil(part: Part, train: Part, rng: np.random.Generator) -> Part:
        values = part.numbers
        values[:, : len(order)] = values[:, list(order)]
        return part.with_numbers(values)

    return spoil


def holes(share: float, columns: Sequence[int] = (0,)) -> Fault:
    """NaN in this share of the rows of each column, drawn independently."""
    return _cells(share, columns, lambda values, rng: np.full(len(values), np.nan))


def recoded(columns: Mapping[int, Sequence[int]]) -> Fault:
    """Column -> what each of its codes 0, 1, ... is written as."""

    def spoil(part: Part, train: Part, rng: np.random.Generator) -> Part:
        values = part.numbers
        for column, written in columns.items():
            values[:, column] = np.array(written)[values[:, column].astype(int)]
        return part.with_numbers(values)

    return spoil


def sentinels(value: float, share: float, columns: Sequence[int] = (0,)) -> Fault:
    return _cells(share, columns, lambda values, rng: np.full(len(values), value))


def outlying(share: float, distance: float, columns: Sequence[int] = (0,)) -> Fault:
    """A share of the values moved to either side, by `distance` training deviations or up to half as much again."""

    def spoil(part: Part, train: Part, rng: np.random.Generator) -> Part:
        values = part.numbers
        for column in columns:
            hit = np.flatnonzero(rng.random(len(part)) < share)
            away = distance * rng.uniform(1.0, 1.5, len(hit)) * rng.choice([-1, 1], len(hit))
            values[hit, column] += away * train.numbers[:, column].std()
        return part.with_numbers(values)

    return spoil


def _cells(share: float, columns: Sequence[int], change: Callable[[Array, np.random.Generator], Array]) -> Fault:
    def spoil(part: Part, train: Part, rng: np.random.Generator) -> Part:
        values = part.numbers
        for column in columns:
            hit = rng.random(len(values)) < share
            values[hit, column] = change(values[hit, column], rng)
        return part.with_numbers(values)

    return spoil


def relabelled(change: Callable[[Array], Array]) -> Fault:
    """Every label as the function says."""
    return lambda part, train, rng: replace(part, y=change(part.y))


def permuted_labels(*order: int) -> Fault:
    """Class k is written as `order[k]`."""
    return relabelled(lambda y: np.array(order)[y])


def copied(share: float, jitter: float = 0.0) -> Fault:
    """A share of the rows replaced by training rows with their labels; `jitter` in training deviations."""

    def spoil(part: Part, train: Part, rng: np.random.Generator) -> Part:
        hit = rng.random(len(part)) < share
        source = rng.integers(0, len(train), len(part))
        values, labels = part.numbers, part.y.copy()
        noise = jitter * train.numbers.std(axis=0) * rng.normal(size=values.shape)
        values[hit], labels[hit] = (train.numbers[source] + noise)[hit], train.y[source][hit]
        return replace(part.with_numbers(values), y=labels)

    return spoil


def both(*faults: Fault) -> Fault:
    """One fault after the other."""

    def spoil(part: Part, train: Part, rng: np.random.Generator) -> Part:
        for fault in faults:
            part = fault(part, train, rng)
        return part

    return spoil


# Cases


class MemorySplit:
    """A split that was opened from memory."""

    files: tuple[str, ...] = ("memory",)

    def __init__(self, name: SplitName, part: Part) -> None:
        self.name, self.part = name, part
        self.row_shape = tuple(part.x.shape[1:])
        self.layout: Literal["table", "array"] = "array"
        self.columns: tuple[Column, ...] = ()
        if isinstance(part.x, pd.DataFrame):
            self.layout = "table"
            numeric = set(part.x.select_dtypes("number").columns)
            self.columns = tuple(Column(c, "number" if c in numeric else "string") for c in part.x.columns)

    def batches(self, rows: int = 8192, span: Span | None = None) -> Iterator[Batch]:
        wanted = span or Span(0, len(self.part))
        for first in range(wanted.first, wanted.stop, rows):
            part = self.part.at(np.arange(first, min(first + rows, wanted.stop)))
            yield Batch(first, part.x, part.y, {} if part.groups is None else {"group": part.groups})

    def starts(self, rows: int = 8192) -> tuple[int, ...]:
        return (*range(0, len(self.part), rows), len(self.part))

    def describe(self) -> dict[str, Any]:
        return {"files": list(self.files)}


def request_for(*, reported: Sequence[str] = (), **changes: Any) -> AuditRequest:
    """A request of which only the meaning of the data counts; nothing is read from its addresses."""
    body: dict[str, Any] = {
        "model": {"uri": "model"},
        "data": {"train": {"uri": "train.csv"}, "validation": {"uri": "validation.csv"}, "label": "y"},
        "reported_metrics": list(reported),
    }
    return AuditRequest.model_validate(body | changes)


def case(
    task: Task = "binary",
    *,
    model: ModelFactory = fitted,
    fault: Fault | None = None,
    train_fault: Fault | None = None,
    history: dict[str, list[float]] | None = None,
    limits: Mapping[str, Mapping[str, Any]] | None = None,
    reported: Sequence[str] = (),
    kind: str = "auto",
    threshold: float = 0.5,
    names: Sequence[str] | None = None,
    parameters: int | None = None,
    internals: ModelInternals | None = None,
    seed: int = 0,
    **world: Any,
) -> Case:
    """A case of a world, a model and a fault.

    Args:
        task: see `splits`.
        model: fitted to the training rows before any fault.
        fault: spoils the validation rows.
        train_fault: spoils the training rows that the audit is shown, after the model was fitted.
        history: as in the case.
        limits: overrides, code -> limits.
        reported: names of metrics that are reported.
        kind: of the output, as in the request.
        threshold: of binary decisions.
        names: of the classes, written in place of 0, 1, ...
        parameters: of the model, as the description has them.
        internals: what the model holds of its data.
        seed: of the world and of the faults.
        world: the arguments of `splits`.
    """
    train, validation = splits(task, seed=seed, **world)
    answer = model(train, task)
    rng = np.random.default_rng([seed, 2])
    seen = train_fault(train, train, rng) if train_fault else train
    spoilt = fault(validation, train, rng) if fault else validation
    if names is not None:
        seen, spoilt = (
            replace(p, y=np.array(names, dtype=object)[p.y]) if p.y.dtype.kind in "iu" else p for p in (seen, spoilt)
        )
    request = request_for(reported=reported, task=task, output={"kind": kind, "threshold": threshold})
    given = {"request": request, "history": history, "limits": limits, "parameters": parameters}
    return case_of(seen, spoilt, answer, internals=internals, **given)


def case_of(
    train: Part,
    validation: Part,
    answer: Answer,
    *,
    request: AuditRequest | None = None,
    history: dict[str, list[float]] | None = None,
    limits: Mapping[str, Mapping[str, Any]] | None = None,
    parameters: int | None = None,
    predict: Callable[[Any], Array] | None = None,
    internals: ModelInternals | None = None,
) -> Case:
    """The case of two splits and a model that answers a matrix of numbers, as the engine collects it.

    `predict` takes the place of the answer where a model looks at more than the numbers.
    """
    request = request or request_for()

    def raw(rows: Rows) -> Array:
        return np.asarray(answer(numbers(rows)) if predict is None else predict(rows))

    opened = [MemorySplit("train", train), MemorySplit("validation", validation)]
    collected = [
        collect(s, lambda rows: {TENSOR: raw(rows)}, np.random.default_rng([SEED, i])) for i, s in enumerate(opened)
    ]
    meaning = understand(Head(TENSOR, collected[0].outputs[TENSOR]), collected[0].labels, request)
    space = meaning.labels
    evidence = [_evidence(one, meaning) for one in collected]
    fallback = float(np.mean(evidence[0].labels)) if space.task == "regression" else 0.0
    return Case(
        request=request,
        description=_description(train, meaning, parameters),
        meaning=meaning,
        space=FeatureSpace.of(opened[0]),
        scorer=Scorer(space, fallback),
        train=evidence[0],
        validation=evidence[1],
        predict=lambda rows: meaning.read(raw(rows)),
        history=history,
        limits=limits_for(limits or {}),
        seed=SEED,
        mended=evidence[1].sample,
        internals=internals,
    )


def _evidence(raw: RawSplit, meaning: OutputMeaning) -> SplitEvidence:
    labels, at = meaning.labels.encode(raw.labels, raw.name), raw.sample_index
    predictions = meaning.read(raw.outputs[meaning.tensor])
    read = raw.labels[at] if raw.labels.ndim == 1 else labels[at]
    sample = Subject(raw.sample_rows, labels[at], read, predictions.at(at), at)
    return SplitEvidence.of(raw.name, labels, predictions, raw.fingerprints, raw.roles, sample)


def _description(train: Part, meaning: OutputMeaning, parameters: int | None) -> ModelDescription:
    width = train.numbers.shape[1]
    return ModelDescription(
        path="model",
        signature="serving_default",
        signatures=("serving_default",),
        tags=("serve",),
        inputs=(TensorSpec("x", "float32", (None, width)),),
        outputs=(TensorSpec(meaning.tensor, "float32", (None, max(1, meaning.labels.n_classes))),),
        tensorflow_version="2.20.0",
        parameters=parameters,
    )


def examined(one: Case, codes: set[str] | None = None) -> tuple[Case, dict[str, CheckResult]]:
    """The case after all its repairs, and the result of every check (or of those named)."""
    chosen = codes or {code for code, _ in CHECKS}
    for code, compare, suspect in WITNESSED:
        if code in chosen:
            one = as_the_model_saw(one, code, compare, suspect)
    if target_leakage.CODE in chosen:
        one = target_leakage.without_leak(one)
    one = mend(one, [(code, suspect) for code, suspect in SUSPECTS if code in chosen])
    return one, {code: check(one) for code, check in CHECKS if code in chosen}


def result_of(code: str, one: Case) -> CheckResult:
    """The result of one check, with its own repair alone."""
    return examined(one, {code})[1][code]


def faults_found(results: Mapping[str, CheckResult]) -> set[str]:
    """The codes of the findings that are more than observations."""
    loud = {Severity.WARNING, Severity.CRITICAL}
    return {code for code, r in results.items() if r.finding is not None and r.finding.severity in loud}
