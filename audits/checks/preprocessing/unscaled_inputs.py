"""Columns of wildly different size reach the model as they are, and it did not learn.

What it measures: the ratio between the largest and the smallest deviation of the columns, and their largest values;
    whether the model's answers hang on the largest columns alone; and whether a control learner that does not care
    for scale beats the model on both splits, as `overfitting.underfitting` measures it.
Why it matters: a column that counts in thousands makes the gradient of its weight a million times that of a column of
    fractions: no learning rate suits both, and the small ones are never learned.
When it is inconclusive: no control learner could be fitted.
How to fix: put a Normalization layer, adapted on the training data, in front of the model and train again.
Reference: LeCun, Bottou, Orr & Mueller, 1998, https://doi.org/10.1007/3-540-49430-8_2
"""

from typing import cast

import numpy as np

from audits.artefacts import Array
from audits.checks.overfitting.underfitting import underfitting
from audits.evidence.case import Case
from audits.evidence.outputs import Predictions
from audits.repairs.reliance import replaced
from audits.repairs.snippets import constant
from audits.results import CheckResult
from schemas.limits.preprocessing import UnscaledInputs
from schemas.report import Affected, Confirmation, Effect, Finding, Outcome, Remedy

CODE = "preprocessing.unscaled_inputs"
MAX_LISTED = 50
MAX_ROWS = 2_000
# Answers move this much more with the large columns than with all others.
DOMINATED = 3.0


def unscaled_inputs(case: Case) -> CheckResult:
    """Sizes first, since they cost nothing; then whether the model failed to learn, and by which columns it goes."""
    limits = cast(UnscaledInputs, case.limits[CODE])
    if case.space.layout == "image" or not case.space.units:
        return CheckResult.not_applicable("no columns of numbers")
    deviations, largest = _sizes(case)
    varied = deviations > 0
    if not varied.any():
        return CheckResult.not_applicable("no column varies")
    ratio = float(deviations[varied].max() / deviations[varied].min())
    if max(ratio, largest) < limits.min_ratio:
        return CheckResult.passed(smallest=limits.min_ratio)
    unlearned = underfitting(case)
    if unlearned.finding is None or unlearned.outcome is not Outcome.FAIL:
        return (
            unlearned
            if unlearned.outcome is Outcome.INCONCLUSIVE
            else CheckResult.passed(
                smallest=unlearned.smallest_visible_effect, reason="columns differ in size, but the model learned"
            )
        )
    wide = _wide(deviations)
    by_wide, by_narrow = (_movement(case, columns) for columns in (wide, ~wide & varied))
    if (~wide & varied).any() and by_wide < DOMINATED * by_narrow:
        return CheckResult.passed(reason="columns differ in size, but the model's answers follow the small ones too")
    names = [case.space.units[i] for i in np.flatnonzero(wide)]
    underfit = unlearned.finding
    finding = Finding(
        code=CODE,
        family="preprocessing",
        severity=underfit.severity,
        title="Columns of wildly different size reach the model as they are",
        summary=f"The deviations of the columns differ by a factor of {ratio:,.0f} ({', '.join(names[:3])} largest), "
        f"values reach {largest:,.4g}, and the model has not learned what a learner that ignores scale learns. "
        f"{underfit.summary}",
        effect=Effect(name="ratio_of_deviations", estimate=max(ratio, largest), limit=limits.min_ratio),
        n=underfit.n,
        affected=Affected(columns=names[:MAX_LISTED]),
        evidence={
            "deviations": dict(zip(case.space.units[:MAX_LISTED], deviations[:MAX_LISTED].tolist(), strict=True)),
            "answers_move_with": {"large_columns": by_wide, "other_columns": by_narrow},
            **underfit.evidence,
        },
        remedy=_remedy(names[:MAX_LISTED]),
    )
    proof = cast(Confirmation, unlearned.confirmation)
    return CheckResult(Outcome.FAIL, finding=finding, confirmation=proof, recovered=unlearned.recovered)


def _sizes(case: Case) -> tuple[Array, float]:
    """(units,) deviations in the training rows, and the largest typical value."""
    columns = [case.space.values(case.train.sample.rows, unit) for unit in range(len(case.space.units))]
    finite = [values[np.isfinite(values)] for values in columns]
    deviations = np.array([float(v.std()) if len(v) else 0.0 for v in finite])
    return deviations, max((float(np.quantile(np.abs(v), 0.9)) for v in finite if len(v)), default=0.0)


def _wide(deviations: Array) -> Array:
    """(units,) the columns above the widest step between neighbours in size."""
    sizes = np.sort(np.log(deviations[deviations > 0]))
    if len(sizes) < 2:
        return np.asarray(deviations > 0)
    step = int(np.diff(sizes).argmax())
    return np.asarray(np.log(np.maximum(deviations, 1e-300)) > (sizes[step] + sizes[step + 1]) / 2)


def _movement(case: Case, columns: Array) -> float:
    """Mean absolute change of the model's answers when the columns are shuffled together."""
    if not columns.any():
        return 0.0
    subject = case.train.sample
    subject = subject.at(np.arange(min(len(subject), MAX_ROWS)))
    order = case.rng("movement").permutation(len(subject))
    names = [case.space.units[i] for i in np.flatnonzero(columns)]
    moved = case.rerun(subject, replaced(case, subject.rows, {name: lambda v: v[order] for name in names}))
    before, after = (_answers(s.predictions) for s in (subject, moved))
    change = np.abs(after - before)
    return float(np.nanmean(change)) if np.isfinite(change).any() else 0.0


def _answers(predictions: Predictions) -> Array:
    answers = predictions.values if predictions.values is not None else predictions.probabilities
    return np.asarray(answers, dtype=np.float64)


def _remedy(names: list[str]) -> Remedy:
    return Remedy(
        text="Put a Normalization layer, adapted on the training data alone, in front of the network and train again; "
        "take the logarithm first of amounts that span orders of magnitude.",
        code="import keras\nimport numpy as np\n\n"
        + constant("LARGEST", names)
        + "def with_scaled_inputs(model, x: np.ndarray):\n"
        "    scale = keras.layers.Normalization()\n"
        "    scale.adapt(x)\n"
        "    return keras.Sequential([keras.layers.Input(x.shape[1:]), scale, model])\n",
    )
