"""No learner finds a signal in these features.

What it measures: the skill of the control learners out of sample on the training rows, and on the validation
    rows, with intervals; a permutation test of the association between their answers and the labels.
Why it matters: where nothing can be learned, a network still memorises. Regularisation then removes the
    memorising and leaves nothing.
When it is inconclusive: fewer than `min_rows` training rows, or an upper bound of the skill that leaves room.
How to fix: other features, or another target. Check the join between features and labels first: shuffled keys
    look exactly like this.
Reference: Ojala & Garriga, 2010, https://www.jmlr.org/papers/v11/ojala10a.html
"""

from typing import cast

import numpy as np

from audits.artefacts import Array
from audits.evidence.case import Case
from audits.results import CheckResult
from schemas.limits.overfitting import NoSignal
from schemas.report import Confirmation, Effect, Finding, Outcome, Remedy, Severity

CODE = "overfitting.no_signal"
PERMUTATIONS = 999
ALPHA = 0.05


def no_signal(case: Case) -> CheckResult:
    """Neither the model nor a control learner beats a constant answer out of sample."""
    limits = cast(NoSignal, case.limits[CODE])
    matrix = case.control
    if matrix.reason is not None or matrix.train is None or matrix.validation is None:
        return CheckResult.inconclusive(matrix.reason or "no control learner")
    if len(matrix.train) < limits.min_rows:
        return CheckResult.inconclusive(f"{len(matrix.train)} of {limits.min_rows} training rows")
    tested = {
        "training": (matrix.train.labels, matrix.on_train),
        "validation": (matrix.validation.labels, matrix.on_validation),
        "model": (case.mended.labels, case.scorer.answers(case.mended.predictions)),
    }
    p_values: dict[str, float] = {}
    for name, (labels, answers) in tested.items():
        p_values[name] = _permutation_p(case, labels, answers, name)
        if p_values[name] < ALPHA / len(tested):
            return CheckResult.passed(smallest=limits.max_skill)
    scores = {name: matrix.scores[name] for name in ("train->train", "train->validation")}
    skill = case.scorer.skill
    skills = {name: skill(cast(float, score)) for name, score in scores.items()}
    ends = {name: cast("tuple[float, float]", matrix.intervals[name]) for name in skills}
    # the rows that exclude most
    tightest = min(ends, key=lambda name: ends[name][1])
    lower, upper = (skill(end) for end in ends[tightest])
    if max(skills.values()) > 2 * limits.max_skill or upper > limits.max_upper_skill:
        return CheckResult.inconclusive(f"a skill of up to {upper:.2f} cannot be excluded", smallest=upper)
    finding = Finding(
        code=CODE,
        family="overfitting",
        severity=Severity.CRITICAL,
        title="No learner finds a signal in these features",
        summary=f"Out of sample, control learners reach a {case.scorer.title} of {scores['train->train']:.2f} on "
        f"the training rows and {scores['train->validation']:.2f} on the validation rows; a constant answer gives "
        f"{case.scorer.chance:.2f}. "
        f"A skill beyond {upper:.2f} is excluded. Regularisation alone will not help.",
        effect=Effect(
            name="skill_of_the_control_learner",
            estimate=skills[tightest],
            interval=(lower, upper),
            limit=limits.max_skill,
        ),
        p_value=min(p_values.values()),
        n=len(matrix.train),
        evidence={
            "p_values": dict(p_values),
            "scores": dict(matrix.scores),
            "skill_of": tightest,
        },
        remedy=_remedy(case),
    )
    confirmation = Confirmation(
        confirmed=True,
        intervention="fit control learners on the same rows and shuffle the labels against their answers",
        metric=case.scorer.metric,
        before=case.mended_score[0],
        after=cast(float, scores["train->validation"]),
        gain_interval=None,
        n=len(matrix.validation),
        by_exclusion=True,
    )
    return CheckResult(Outcome.FAIL, finding=finding, confirmation=confirmation)


def _permutation_p(case: Case, labels: Array, answers: Array, purpose: str) -> float:
    """P-value of the metric against labels dealt out at random."""
    rng = case.rng("permutation " + purpose)
    observed = float(case.scorer.score_answers(labels, answers))
    draws = [float(case.scorer.score_answers(rng.permutation(labels), answers)) for _ in range(PERMUTATIONS)]
    return float((1 + np.sum(np.asarray(draws) >= observed)) / (1 + PERMUTATIONS))


def _remedy(case: Case) -> Remedy:
    estimator = "RandomForestRegressor" if case.is_regression else "RandomForestClassifier"
    return Remedy(
        text="Do not tune this model. Check that features and labels were joined by the right key, then look for other "
        "features. The test below tells whether new features carry a signal.",
        code=(
            f"from sklearn.ensemble import {estimator}\n"
            "from sklearn.model_selection import permutation_test_score\n\n"
            "def p_value(x, y):\n"
            f"    return permutation_test_score({estimator}(random_state=0), x, y, n_permutations=200, "
            f"random_state=0)[2]\n"
        ),
    )
