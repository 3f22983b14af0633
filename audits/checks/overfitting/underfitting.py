"""The model has not learned what a simple learner learns from the same data.

What it measures: the control learner's metric minus the model's, on the validation rows (paired) and on the
    training rows (the control learner cross-fitted, the model on rows that it knows), with bootstrap intervals.
    A binary model is judged at its best threshold, so that a bad cut is not taken for a lack of learning.
Why it matters: a network that a forest beats on the network's own training rows has not been trained out.
When it is inconclusive: no control learner could be fitted.
How to fix: scale the inputs, train longer, raise the learning rate or the capacity; see that the loss falls on a
    single batch first.
Reference: Goodfellow, Bengio & Courville, 2016, chapter 11, https://www.deeplearningbook.org
"""

from typing import cast

from audits.artefacts import Array
from audits.checks.metrics.decision_threshold import cross_fitted
from audits.evidence.case import Case, Subject
from audits.evidence.scoring import quantile_interval
from audits.results import CheckResult
from schemas.limits.overfitting import Underfitting
from schemas.report import Confirmation, Effect, Estimate, Finding, Outcome, Remedy, Severity

CODE = "overfitting.underfitting"
# A model that is silent has not shown what it learned.
MIN_ANSWERED = 0.9


def underfitting(case: Case) -> CheckResult:
    """Compare with the control learner on both splits."""
    limits = cast(Underfitting, case.limits[CODE])
    matrix = case.control
    if matrix.reason is not None or matrix.train is None or matrix.validation is None:
        return CheckResult.inconclusive(matrix.reason or "no control learner")
    answered = float(case.mended.predictions.answered.mean())
    if answered < MIN_ANSWERED:
        return CheckResult.inconclusive(f"the model answers {answered:.0%} of the validation rows")
    away = _advantage(case, matrix.validation, matrix.on_validation, "validation")
    home = _advantage(case, matrix.train, matrix.on_train, "train")
    lows = [cast("tuple[float, float]", advantage.interval)[0] for advantage in (away, home)]
    if min(lows) <= limits.min_advantage:
        interval = cast("tuple[float, float]", away.interval)
        return CheckResult.passed(smallest=limits.min_advantage + (interval[1] - interval[0]) / 2)
    control, model = matrix.scores["train->validation"], case.score(matrix.validation)
    at_home = matrix.scores["train->train"], case.score(matrix.train)
    finding = Finding(
        code=CODE,
        family="overfitting",
        severity=Severity.CRITICAL if cast(float, away.estimate) > 0.15 else Severity.WARNING,
        title="The model has not learned what a simple learner learns",
        summary=f"On the validation rows a {matrix.learner} reaches a {case.scorer.title} of {control:.2f}, the "
        f"model {model:.2f}; on "
        f"the training rows, out of sample, {at_home[0]:.2f}, the model {at_home[1]:.2f} on rows that it has seen.",
        effect=Effect(
            name="advantage_of_the_control_learner",
            estimate=cast(float, away.estimate),
            interval=away.interval,
            limit=limits.min_advantage,
        ),
        n=len(matrix.validation),
        evidence={"learner": matrix.learner, "scores": dict(matrix.scores)},
        remedy=_remedy(),
    )
    confirmation = Confirmation(
        confirmed=True,
        intervention=f"fit a {matrix.learner} on the same rows and features",
        metric=case.scorer.metric,
        before=model,
        after=cast(float, control),
        gain_interval=away.interval,
        n=len(matrix.validation),
        by_exclusion=True,
    )
    return CheckResult(Outcome.FAIL, finding=finding, confirmation=confirmation)


def _advantage(case: Case, subject: Subject, answers: Array, purpose: str) -> Estimate:
    """The control learner's metric minus the model's on the same rows."""
    tunable = case.labels.n_classes == 2 and case.meaning.kind != "class"
    model = case.scorer.answers((cross_fitted(case, subject) if tunable else subject).predictions)

    draws = case.scorer.contrast_draws(
        subject.labels, model, subject.labels, answers, case.rng("advantage " + purpose), subject.groups
    )
    point = float(case.scorer.score_answers(subject.labels, answers) - case.scorer.score_answers(subject.labels, model))
    return Estimate(estimate=point, interval=quantile_interval(draws), n=len(subject))


def _remedy() -> Remedy:
    return Remedy(
        text="See first that the network can learn one batch by heart. Then scale the inputs, train until the training "
        "loss no longer falls, and raise the learning rate or the capacity.",
        code=(
            "import keras\nimport numpy as np\n\n"
            "def learns_one_batch(model, x, y, epochs: int = 200) -> list[float]:\n"
            "    return model.fit(x[:32], y[:32], epochs=epochs, verbose=0).history['loss']\n\n"
            "def with_scaled_inputs(model, x: np.ndarray):\n"
            "    scale = keras.layers.Normalization()\n"
            "    scale.adapt(x)\n"
            "    return keras.Sequential([keras.layers.Input(x.shape[1:]), scale, model])\n"
        ),
    )
