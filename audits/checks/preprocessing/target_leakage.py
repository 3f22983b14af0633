"""A column knows the answer.

What it measures: how well every single column predicts the training labels (a shallow tree, cross-fitted), and
    how much the model relies on it (the fall of the training metric when the column is shuffled). A column is
    suspect when it is almost perfect, or strong and alone by far, and the model uses it. Shuffling it shows what
    the metric is without it: in the training data where the validation data do not hold the answer, else in the
    validation data, against shuffling other columns. Whether a column of both splits is known in time, only the
    user can say: a strong honest column looks the same.
Why it matters: a field that is filled in after the outcome is not there when the model is used. The scores are
    then a promise that nothing keeps.
When it is inconclusive: fewer than `min_rows` training rows.
How to fix: ask when the column becomes known. If after the prediction is due, drop it and train again.
Reference: Kaufman, Rosset & Perlich, 2012, https://doi.org/10.1145/2382577.2382579; Kapoor & Narayanan, 2023,
    https://doi.org/10.1016/j.patter.2023.100804
"""

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from scipy.stats import wilcoxon
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from audits.artefacts import Array
from audits.evidence.case import Case, Subject
from audits.evidence.labels import UNKNOWN
from audits.repairs.reliance import explained, reliance, shuffled
from audits.results import CheckResult
from schemas.limits.preprocessing import TargetLeakage
from schemas.report import Affected, Confirmation, Effect, Estimate, Finding, Outcome, Remedy, Severity

CODE = "preprocessing.target_leakage"
FOLDS = 3
MAX_ROWS = 3_000
MAX_COLUMNS = 300
# The metric without other columns, to compare with.
MAX_PLACEBOS = 19
LOSS_LEVEL = 0.001
# A column that keeps less of its skill in the validation data does not hold the answer there.
KEPT = 0.5


@dataclass(frozen=True)
class Leak:
    """A column that knows the answer."""

    column: str
    skill: float
    next_best: float
    reliance: Estimate  # fall of the training metric without it
    validation_skill: float  # how much it knows in the validation data
    validation_reliance: Estimate
    placebo: float  # the most that the validation metric falls without any other column

    @property
    def gone(self) -> bool:
        """Whether the validation data do not hold the answer: what training promised, they cannot keep."""
        return self.validation_skill < KEPT * self.skill

    def carries_the_metric(self, limits: TargetLeakage) -> bool:
        """Whether the validation metric stands on this column, and on no other as much."""
        fall, low = cast(float, self.validation_reliance.estimate), (self.validation_reliance.interval or (0.0, 0.0))[0]
        return low > limits.min_reliance and fall > self.placebo


def target_leakage(case: Case) -> CheckResult:
    """Report the leak that `find_leak` has found."""
    limits = cast(TargetLeakage, case.limits[CODE])
    reason = _inapplicable(case, limits)
    if reason is not None:
        return reason
    leak = cast("Leak | None", case.leak)
    if leak is None:
        return CheckResult.passed(smallest=limits.strong_skill)
    gone = leak.gone
    before, without = case.train_score[0], case.train_score[0] - cast(float, leak.reliance.estimate)
    where = "in the training data and not in the validation data" if gone else "in both splits"
    summary = (
        f"{leak.column} alone predicts the label with a skill of {leak.skill:.2f} (the next best column: "
        f"{leak.next_best:.2f}) {where}. Without it, the training {case.scorer.title} falls from {before:.2f} to "
        f"{without:.2f}."
    )
    if not gone:
        summary += " Suspected: only you can say whether it is known when the prediction is due."
    finding = Finding(
        code=CODE,
        family="preprocessing",
        severity=Severity.CRITICAL if gone else Severity.WARNING,
        title="A column knows the answer",
        summary=summary,
        effect=Effect(
            name="skill_of_one_column",
            estimate=leak.skill,
            limit=_strong_skill(leak.skill, leak.validation_skill, limits),
        ),
        n=case.train.n,
        affected=Affected(columns=[leak.column], share_of_rows=1.0),
        evidence={
            "column": leak.column,
            "skill_in_training": leak.skill,
            "skill_in_validation": leak.validation_skill,
            "next_best_skill": leak.next_best,
            "fall_without_it": {
                "training": _as_json(leak.reliance),
                "validation": _as_json(leak.validation_reliance),
            },
        },
        remedy=_remedy(case, leak.column),
    )
    confirmation = _confirmation(case, leak, limits)
    return CheckResult(
        Outcome.FAIL,
        finding=finding,
        confirmation=confirmation,
        # in the training data alone, the leak is what the training promised too much
        recovered=explained(leak.reliance, case.train_score[0] - case.mended_score[0]) if gone else None,
    )


def _confirmation(case: Case, leak: Leak, limits: TargetLeakage) -> Confirmation:
    """What the metric is without the column: in training where it promised too much, else in validation.

    That the metric stands on the column is proven by this; that nobody has the column in time, only the user can say.
    """
    lost = leak.reliance if leak.gone else leak.validation_reliance
    before = case.train_score[0] if leak.gone else case.score(case.mended)
    return Confirmation(
        confirmed=leak.gone or leak.carries_the_metric(limits),
        intervention=f"shuffle {leak.column} in the {'training' if leak.gone else 'validation'} data",
        metric=case.scorer.metric,
        before=before,
        after=before - cast(float, lost.estimate),
        gain_interval=None if lost.interval is None else (-lost.interval[1], -lost.interval[0]),
        placebo_gain=None if leak.gone else -leak.placebo,
        n=lost.n,
    )


def _inapplicable(case: Case, limits: TargetLeakage) -> CheckResult | None:
    if case.space.layout == "image":
        return CheckResult.not_applicable("pixels are no columns")
    if len(case.train.sample) < limits.min_rows:
        return CheckResult.inconclusive(f"{len(case.train.sample)} of {limits.min_rows} training rows")
    width = len(case.space.units) + len(case.space.texts)
    if not 2 <= width <= MAX_COLUMNS:
        return CheckResult.not_applicable(f"{width} columns; 2 to {MAX_COLUMNS} are looked at")
    return None


def find_leak(case: Case) -> Leak | None:
    """The column that knows the answer and that the model uses, or None."""
    limits = cast(TargetLeakage, case.limits[CODE])
    if _inapplicable(case, limits) is not None:
        return None
    skills = _column_skills(case, case.train.sample)
    best = int(skills.argmax())
    next_best = float(np.delete(skills, best).max())
    in_validation = _skill_in(case, case.mended, best)
    strong_skill = _strong_skill(float(skills[best]), in_validation, limits)
    if not _stands_out(float(skills[best]), next_best, strong_skill, limits):
        return None
    column = [*case.space.units, *case.space.texts][best]
    on_train = reliance(case, case.train.sample, column)
    low = on_train.interval[0] if on_train.interval else 0.0
    certain = skills[best] > limits.certain_skill and _loss_rises(case, column)
    if low < limits.min_reliance and not certain:
        return None
    return Leak(
        column,
        float(skills[best]),
        next_best,
        on_train,
        in_validation,
        reliance(case, case.mended, column),
        _fall_without_others(case, case.mended, column),
    )


def without_leak(case: Case) -> Case:
    """The case with its leak named; where validation does not have it, with a training sample that does without it."""
    leak = find_leak(case)
    if leak is None:
        return case
    without = shuffled(case, case.train.sample, leak.column) if leak.gone else None
    return replace(case, leaked=(leak.column,), leak=leak, train_without_leak=without)


def _strong_skill(skill: float, in_validation: float, limits: TargetLeakage) -> float:
    """From which skill a column is suspect: less where the validation data do not hold the answer."""
    return limits.vanished_skill if in_validation < KEPT * skill else limits.strong_skill


def _stands_out(best: float, next_best: float, strong_skill: float, limits: TargetLeakage) -> bool:
    certain = best > limits.certain_skill and (1 - best) < limits.certain_ratio * (1 - max(next_best, 0.0))
    strong = best > strong_skill and best > limits.strong_ratio * max(next_best, 0.0)
    return certain or strong


def _column_skills(case: Case, subject: Subject) -> Array:
    """(columns,) skill of each column alone: 0 is chance, 1 is perfect."""
    subject = _labelled(case, subject)
    values = case.encoder.columns(subject.rows)
    return np.array([_skill(case, values[:, i : i + 1], subject.labels) for i in range(values.shape[1])])


def _skill_in(case: Case, subject: Subject, column: int) -> float:
    """Skill of one column in another split; 0 where too few rows could tell."""
    subject = _labelled(case, subject)
    if len(subject) < 2 * FOLDS * max(2, case.labels.n_classes):
        return 0.0
    values = case.encoder.columns(subject.rows)
    return _skill(case, values[:, column : column + 1], subject.labels)


def _labelled(case: Case, subject: Subject) -> Subject:
    known = np.isfinite(subject.labels) if case.is_regression else subject.labels != UNKNOWN
    positions = np.flatnonzero(known)
    if len(positions) > MAX_ROWS:
        positions = np.sort(case.rng("leak rows").choice(positions, MAX_ROWS, replace=False))
    return subject.at(positions)


def _skill(case: Case, values: Array, labels: Array) -> float:
    leaf = max(3, len(labels) // 100)
    answers = np.empty(len(labels), dtype=labels.dtype if not case.is_regression else np.float64)
    folds: Any
    if case.is_regression:
        tree: Any = DecisionTreeRegressor(max_leaf_nodes=32, min_samples_leaf=leaf, random_state=0)
        folds = KFold(FOLDS, shuffle=True, random_state=0)
    else:
        tree = DecisionTreeClassifier(
            max_leaf_nodes=max(4, 2 * case.labels.n_classes),
            min_samples_leaf=leaf,
            class_weight="balanced",
            random_state=0,
        )
        smallest = np.bincount(labels)[np.unique(labels)].min()
        folds = (
            StratifiedKFold(FOLDS, shuffle=True, random_state=0)
            if smallest >= FOLDS
            else KFold(FOLDS, shuffle=True, random_state=0)
        )
    for fit, held_out in folds.split(values, labels):
        answers[held_out] = tree.fit(values[fit], labels[fit]).predict(values[held_out])
    return max(0.0, case.scorer.skill(case.scorer.score_of_answers(labels, answers)))


def _fall_without_others(case: Case, subject: Subject, column: str) -> float:
    """The most that the metric falls when another column is shuffled instead."""
    others = [name for name in (*case.space.units, *case.space.texts) if name != column]
    if len(others) > MAX_PLACEBOS:
        others = list(case.rng("other columns").choice(others, MAX_PLACEBOS, replace=False))
    before = case.score(subject)
    return max(before - case.score(shuffled(case, subject, str(name))) for name in others)


def _loss_rises(case: Case, column: str) -> bool:
    """Whether shuffling the column raises the training loss for certain.

    Beside redundant columns the decisions may hold without it; the loss tells whether the model uses it at all.
    """
    subject = case.train.sample
    after = shuffled(case, subject, column)
    losses = [case.scorer.losses(s.labels, s.predictions) for s in (subject, after)]
    rises = losses[1] - losses[0]
    rises = rises[np.isfinite(rises) & (rises != 0)]
    return len(rises) > 0 and float(wilcoxon(rises, alternative="greater").pvalue) < LOSS_LEVEL


def _as_json(estimate: Estimate) -> dict[str, Any]:
    return {
        "estimate": estimate.estimate,
        "interval": list(estimate.interval) if estimate.interval else None,
        "n": estimate.n,
    }


def _remedy(case: Case, column: str) -> Remedy:
    text = (
        f"Find out when {column} becomes known. If it is filled in after the outcome, or computed from it, drop it "
        "and train again; the metric without it is the honest one. If it is known in time, exclude this check."
    )
    if case.space.layout != "table":
        position = case.space.units.index(column)
        code = (
            "import numpy as np\n\n"
            "def without_the_leak(x: np.ndarray) -> np.ndarray:\n"
            f"    return np.delete(x, {position}, axis=1)\n"
        )
        return Remedy(text=text, code=code)
    code = (
        "import pandas as pd\n\n"
        f"LEAK = {column!r}\n\n"
        "def without_the_leak(frame: pd.DataFrame) -> pd.DataFrame:\n"
        "    return frame.drop(columns=LEAK)\n"
    )
    return Remedy(text=text, code=code)
