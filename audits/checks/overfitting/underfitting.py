"""The model has not learned what a simple learner learns from the same data.

What it measures: the control learner's metric minus the model's, on the validation rows (paired) and on the
    training rows (the control learner cross-fitted, the model on rows that it knows), with bootstrap intervals.
    A binary model is judged at its best threshold, so that a bad cut is not taken for a lack of learning. Where a
    history is at hand, whether the losses were still falling when training ended, and whether the training loss
    spiked, climbed or ended in NaN: an observation by itself, a reason beside a finding.
Why it matters: a network that a forest beats on the network's own training rows has not been trained out.
When it is inconclusive: no control learner could be fitted.
How to fix: scale the inputs, train longer, raise the learning rate or the capacity; see that the loss falls on a
    single batch first. Where training was unstable, lower the learning rate and clip the gradients.
Reference: Goodfellow, Bengio & Courville, 2016, chapter 11, https://www.deeplearningbook.org
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from audits.artefacts import Array
from audits.checks.metrics.decision_threshold import cross_fitted
from audits.evidence.case import Case, Subject
from audits.evidence.scoring import quantile_interval
from audits.evidence.training.history import describe_instability, history_of
from audits.results import CheckResult
from audits.statistics.curves import Fall
from schemas.limits.overfitting import Underfitting
from schemas.report import Confirmation, Effect, Estimate, Finding, Outcome, Remedy, Severity

CODE = "overfitting.underfitting"
# A model that is silent has not shown what it learned.
MIN_ANSWERED = 0.9


def underfitting(case: Case) -> CheckResult:
    """Compare with the control learner on both splits."""
    limits = cast(Underfitting, case.limits[CODE])
    result = _compared(case, limits)
    if result.finding is None:
        return replace(result, finding=_observation(case, limits), ranks=False)
    return result


def _compared(case: Case, limits: Underfitting) -> CheckResult:
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
    control, model = matrix.scores["train->validation"], case.score(_well_cut(case, matrix.validation))
    at_home = matrix.scores["train->train"], case.score(_well_cut(case, matrix.train))
    cut = " at its best threshold" if _has_threshold(case) else ""
    finding = Finding(
        code=CODE,
        family="overfitting",
        severity=Severity.CRITICAL if cast(float, away.estimate) > 0.15 else Severity.WARNING,
        title="The model has not learned what a simple learner learns",
        summary=f"On the validation rows a {matrix.learner} reaches a {case.scorer.title} of {control:.2f}, the "
        f"model{cut} {model:.2f}; on "
        f"the training rows, out of sample, {at_home[0]:.2f}, the model {at_home[1]:.2f} on rows that it has seen."
        + "".join(f" {_capital(reason)}." for reason in _reasons(case, limits)),
        effect=Effect(
            name="advantage_of_the_control_learner",
            estimate=cast(float, away.estimate),
            interval=away.interval,
            limit=limits.min_advantage,
        ),
        n=len(matrix.validation),
        evidence={"learner": matrix.learner, "scores": dict(matrix.scores), "history": list(_reasons(case, limits))},
        remedy=_remedy(case, limits),
    )
    confirmation = Confirmation(
        confirmed=True,
        intervention=f"fit a {matrix.learner} on the same rows and features"
        + (f", against the model{cut}" if cut else ""),
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
    model = case.scorer.answers(_well_cut(case, subject).predictions)

    draws = case.scorer.contrast_draws(
        subject.labels, model, subject.labels, answers, case.rng("advantage " + purpose), subject.groups
    )
    point = float(case.scorer.score_answers(subject.labels, answers) - case.scorer.score_answers(subject.labels, model))
    return Estimate(estimate=point, interval=quantile_interval(draws), n=len(subject))


def _has_threshold(case: Case) -> bool:
    return case.labels.n_classes == 2 and case.meaning.kind != "class"


def _well_cut(case: Case, subject: Subject) -> Subject:
    """The subject as a binary model answers it at its best threshold: a bad cut is no lack of learning."""
    return cross_fitted(case, subject) if _has_threshold(case) else subject


def _observation(case: Case, limits: Underfitting) -> Finding | None:
    """What the history says of a model that does as well as a simple learner, or that cannot be compared."""
    history = history_of(case)
    if history is None:
        return None
    unstable, fall = history.instability, history.still_falling(limits.min_fall)
    if unstable is not None:
        title = "Training was unstable"
        effect = Effect(name=f"training_loss_{unstable.kind}", estimate=unstable.size, unit="share of the loss's fall")
        remedy = _calmer()
    elif fall is not None:
        title = "Training ended while the loss was still falling"
        effect = Effect(name="fall_over_the_last_epochs", estimate=fall.fall, limit=limits.min_fall)
        remedy = _longer(fall)
    else:
        return None
    return Finding(
        code=CODE,
        family="overfitting",
        severity=Severity.INFO,
        title=title,
        summary=" ".join(f"{_capital(reason)}." for reason in _reasons(case, limits)),
        effect=effect,
        p_value=fall.p_value if fall is not None and unstable is None else None,
        n=history.epochs,
        evidence={"history": list(_reasons(case, limits)), "epochs": history.epochs},
        remedy=remedy,
    )


def _reasons(case: Case, limits: Underfitting) -> Iterator[str]:
    """What the history says of why the model may not have learned, one clause each."""
    history = history_of(case)
    if history is None:
        return
    if history.instability is not None:
        yield describe_instability(history.instability)
    fall = history.still_falling(limits.min_fall)
    if fall is not None:
        yield (
            f"the training loss was still falling when training ended, by {fall.fall:.0%} over the last {fall.epochs} "
            "epochs"
        )


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _remedy(case: Case, limits: Underfitting) -> Remedy:
    history = history_of(case)
    if history is not None and history.instability is not None:
        return _calmer()
    if history is not None and (fall := history.still_falling(limits.min_fall)) is not None:
        return _longer(fall)
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


def _longer(fall: Fall) -> Remedy:
    return Remedy(
        text=f"Train longer: over the last {fall.epochs} epochs the training loss fell by {fall.fall:.0%} and had not "
        "levelled off. Let early stopping on the validation loss say when to end.",
        code=(
            "import keras\n\n"
            "def callbacks(patience: int = 10):\n"
            "    return [\n"
            "        keras.callbacks.ReduceLROnPlateau('val_loss', patience=max(1, patience // 2)),\n"
            "        keras.callbacks.EarlyStopping('val_loss', patience=patience, restore_best_weights=True),\n"
            "    ]\n"
        ),
    )


def _calmer() -> Remedy:
    return Remedy(
        text="Lower the learning rate, clip the gradients and stop on NaN; see that inputs are scaled and that no "
        "batch holds missing values.",
        code=(
            "import keras\n\n"
            "def optimizer(learning_rate: float = 3e-4):\n"
            "    return keras.optimizers.Adam(learning_rate, clipnorm=1.0)\n\n"
            "def callbacks():\n"
            "    return [keras.callbacks.TerminateOnNaN()]\n"
        ),
    )
