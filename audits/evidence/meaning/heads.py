"""Which output of a model with several is judged, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from audits.artefacts import Array, ModelDescription, TensorSpec
from audits.evidence.meaning.answers import Answers
from audits.evidence.meaning.columns import median_of
from audits.evidence.meaning.orders import ClassLists
from audits.evidence.meaning.shapes import as_matrix, is_text
from audits.evidence.meaning.understanding import Head, understand
from audits.evidence.outputs import OutputMeaning, Predictions
from audits.evidence.scoring import Scorer
from audits.naming import listed, normalised
from schemas.problem import ModelError, ProblemError, RequestError
from schemas.request import AuditRequest

# What TensorFlow's estimators call their outputs, the most informative first.
ESTIMATOR = ("probabilities", "scores", "logits", "logistic", "predictions", "class_ids", "classes")
_OF_ALL_CLASSES = frozenset({"all_classes", "all_class_ids"})
# Wider outputs are embeddings and maps.
MAX_WIDTH = 4096
# Skill is 0 for a constant answer and 1 for a perfect one. One head must lead by so much, or say the same as the other.
MIN_LEAD = 0.1
SAME_ANSWERS = 0.97
SAME_VALUES = 0.99
_NUMBERS = ("float", "int", "uint", "bool", "bfloat")
_INFORMATIVE = {"probability": 0, "logit": 1, "value": 2, "class": 3}


@dataclass(frozen=True)
class Candidates:
    """The outputs that may be judged.

    Attributes:
        names: of the outputs; the training labels decide where there are several.
        reason: why these, for the report.
    """

    names: tuple[str, ...]
    reason: str


def candidates(description: ModelDescription, request: AuditRequest) -> Candidates:
    """The outputs that may be judged, as far as names and shapes tell.

    Raises:
        RequestError: the requested output does not exist.
    """
    names = [spec.name for spec in description.outputs]
    asked, label = request.output.tensor, request.data.label_name
    if asked is not None:
        if asked not in names:
            raise RequestError(
                "output_missing",
                f"The signature has no output {asked!r}; it has {', '.join(names)}.",
                field="output.tensor",
            )
        return Candidates((asked,), "output.tensor names it")
    if len(names) == 1:
        return Candidates((names[0],), "the only output")
    alike = [spec.name for spec in description.outputs if label and normalised(spec.name) == normalised(label)]
    if len(alike) == 1:
        return Candidates((alike[0],), f"it has the name of the label, {label!r}")
    if set(names) <= {*ESTIMATOR, *_OF_ALL_CLASSES}:
        usual = _usual(description.outputs)
        if usual is not None:
            others = listed([name for name in names if name != usual])
            return Candidates((usual,), f"the most informative of an estimator's outputs (beside {others})")
    possible = tuple(spec.name for spec in description.outputs if _is_possible(spec))
    return Candidates(possible or tuple(names), f"one of {len(names)} outputs")


def _usual(specs: Sequence[TensorSpec]) -> str | None:
    dtypes = {spec.name: spec.dtype for spec in specs}
    ordered = [name for name in ESTIMATOR if name in dtypes]
    numeric = [name for name in ordered if dtypes[name] != "string"]
    return next(iter(numeric or ordered), None)


def _is_possible(spec: TensorSpec) -> bool:
    """Whether an output can be one answer a row."""
    if spec.dtype != "string" and not spec.dtype.startswith(_NUMBERS):
        return False
    if spec.shape is None:
        return True
    sizes = [size for size in spec.shape[1:] if size != 1]
    return bool(spec.shape) and len(sizes) <= 2 and all(size is None or size <= MAX_WIDTH for size in sizes)


@dataclass(frozen=True)
class _Fitting:
    """A head that can answer for the label."""

    meaning: OutputMeaning
    predictions: Predictions
    skill: float
    shape: str


def choose_head(
    found: Candidates,
    outputs: Mapping[str, Array],
    ops: Mapping[str, str],
    labels: Array,
    request: AuditRequest,
    lists: ClassLists = tuple,
) -> OutputMeaning:
    """The output that answers for the label, and what it means.

    Args:
        found: the candidates.
        outputs: their raw answers on the training rows.
        ops: output -> the graph's op behind it, where known.
        labels: training labels as read.
        request: what was asked for.
        lists: of class names that the model carries.

    Raises:
        RequestError: `output_ambiguous` lists the outputs where several fit and none stands out.
        ProblemError: no output fits; says why, where there is one candidate.
    """
    heads = [Head(name, outputs[name], ops.get(name)) for name in found.names if name in outputs]
    heads = [head for head in heads if not _is_count(head.raw)] or heads
    if len(heads) == 1:
        return understand(heads[0], labels, request, lists, chosen=found.reason)
    fitting, refused = [], {}
    for head in heads:
        try:
            meaning = understand(head, labels, request, lists, chosen=found.reason)
            fitting.append(_fitting(head, meaning, labels))
        except ProblemError as problem:
            refused[f"{head.name} {list(head.raw.shape[1:])}"] = problem
    if not fitting:
        raise _none_fits(refused)
    fitting.sort(key=lambda one: -one.skill)
    best = fitting[0]
    if len(fitting) == 1:
        why = f"the only one of {len(heads)} outputs that fits the label ({'; '.join(refused)} do not)"
        return _chosen(best, why)
    quantile = _median_of_heads(heads, labels, fitting)
    if quantile is not None:
        return quantile
    same = [one for one in fitting if _say_the_same(best, one)]
    informative = min(same, key=lambda one: (_INFORMATIVE[one.meaning.kind], -one.skill))
    rest = [one for one in fitting if one not in same]
    if rest and best.skill - max(one.skill for one in rest) < MIN_LEAD:
        raise _ambiguous(fitting)
    told = ", ".join(f"{one.meaning.tensor} {one.skill:.2f}" for one in fitting)
    if len(same) > 1:
        others = listed([one.meaning.tensor for one in same if one is not informative])
        return _chosen(informative, f"the most informative of the outputs that decide alike (beside {others})")
    return _chosen(best, f"of the outputs that fit, it predicts the training labels best (skill: {told})")


def _is_count(raw: Array) -> bool:
    """Whether an output is one whole number in every row, as a detector's number of boxes, and so no answer.

    0 and 1 are classes, and may be all that a broken model answers.
    """
    numbers = raw.dtype.kind in "iuf" and raw.size == len(raw) > 1
    first = raw.flat[0] if numbers else 0
    return bool(np.isfinite(first) and first > 1 and first % 1 == 0 and (raw == first).all())


def _chosen(one: _Fitting, why: str) -> OutputMeaning:
    further = one.meaning.chosen.partition("; ")[2]
    return replace(one.meaning, chosen="; ".join(part for part in (why, further) if part))


def _fitting(head: Head, meaning: OutputMeaning, labels: Array) -> _Fitting:
    step = max(1, len(labels) // 20_000)
    predictions, some = meaning.read(head.raw[::step]), meaning.labels.encode(labels[::step], "train")
    scorer = Scorer(meaning.labels, float(np.mean(some)))
    skill = scorer.skill(scorer.score(some, predictions))
    return _Fitting(meaning, predictions, max(0.0, float(np.nan_to_num(skill))), str(list(head.raw.shape[1:])))


def _say_the_same(one: _Fitting, other: _Fitting) -> bool:
    if one is other:
        return True
    if one.predictions.decisions is not None and other.predictions.decisions is not None:
        names = [np.array([*f.meaning.labels.names, "none"])[f.predictions.decisions] for f in (one, other)]
        return float((names[0] == names[1]).mean()) >= SAME_ANSWERS
    if one.predictions.values is not None and other.predictions.values is not None:
        with np.errstate(all="ignore"):
            agreed = np.isclose(one.predictions.values, other.predictions.values, rtol=1e-4, atol=1e-6, equal_nan=True)
        return float(agreed.mean()) >= SAME_VALUES
    return False


def _median_of_heads(heads: Sequence[Head], labels: Array, fitting: Sequence[_Fitting]) -> OutputMeaning | None:
    """The middle one of outputs that are quantiles of one quantity."""
    singles = {one.meaning.tensor: one for one in fitting if one.meaning.kind == "value" and one.meaning.index is None}
    if len(singles) < 2 or len(singles) < len(fitting) or labels.ndim > 1:
        return None
    columns = {h.name: as_matrix(h.raw, h.name)[:, 0] for h in heads if h.name in singles and not is_text(h.raw)}
    names = sorted(columns, key=lambda name: float(np.nanmean(columns[name])))
    if len(names) < 3:
        return None
    answers = Answers("the outputs", np.stack([columns[name] for name in names], axis=1), "float64", None)
    found = median_of(labels, answers)
    if found is None:
        return None
    return _chosen(singles[names[found[0]]], f"of the outputs {', '.join(names)}: {found[1]}")


def _none_fits(refused: Mapping[str, ProblemError]) -> ModelError:
    told = "; ".join(f"{name}: {problem.detail}" for name, problem in list(refused.items())[:4])
    return ModelError(
        "output_unsuitable", f"None of the model's outputs fits the label. {told}"[:1500], field="output.tensor"
    )


def _ambiguous(fitting: Sequence[_Fitting]) -> RequestError:
    told = ", ".join(f"{one.meaning.tensor} (shape {one.shape}, skill {one.skill:.2f})" for one in fitting)
    return RequestError(
        "output_ambiguous",
        f"Several outputs fit the label, and none predicts the training labels clearly best: {told}. Name the one to "
        "judge in output.tensor.",
        field="output.tensor",
    )
