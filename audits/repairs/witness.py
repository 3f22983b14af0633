"""Faults that a comparison of the splits cannot show: both files alike are not what the model saw, or the training
file alone is not.

The model is the witness. It holds statistics, vocabularies and tables of its own, or it answers the training rows well
once they are repaired, and badly as they are. What the training labels choose, the validation rows must confirm.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np

from audits.evidence.case import Case, SplitEvidence, Subject
from audits.repairs.judgement import judge
from audits.repairs.protocol import Suspect, Suspicion, Trial, gain_of, try_repair
from audits.results import CheckResult
from schemas.report import Severity

# Training rows that choose among the hypotheses.
MAX_CHOOSING_ROWS = 2000
# What the repair must bring the training metric to, as a share of the way from chance to perfect: from nonsense to
# chance is no proof that the repair is right.
MIN_SKILL, MIN_SKILL_GAINED = 0.25, 0.1
# Beyond, the model answers its training rows well enough: there is nothing to explain.
POOR_SKILL = 0.5

Hypothesis = TypeVar("Hypothesis")


@dataclass(frozen=True)
class Witnessed:
    """A fault that was proven before the splits were compared.

    Attributes:
        split: which file is not what the model saw.
        trial: of the repair; of the training rows where they alone are off.
        train_before, train_after: the training metric on the sample.
    """

    split: Literal["both", "training"]
    trial: Trial
    train_before: float
    train_after: float


def as_the_model_saw(case: Case, code: str, compare: Suspect, suspect: Suspect) -> Case:
    """The case with its training rows, or both splits, repaired, where that is proven.

    Args:
        case: as collected.
        code: of the finding; `case.witnessed` holds what was proven under it.
        compare: the detector that repairs one split with the other as reference.
        suspect: the detector that repairs both alike.
    """
    if 1 - case.scorer.skill(case.train_score[0]) < MIN_SKILL_GAINED:
        return case  # the model is right about its training rows
    found = _training_alone(case, compare) or _both(case, suspect)
    if found is None:
        return case
    train = found.trial.after if found.split == "training" else found.trial.suspicion.apply(case.train.sample)
    return replace(
        case,
        train=_with_sample(case.train, train),
        mended=case.mended if found.split == "training" else found.trial.after,
        trials=(*case.trials, found.trial),
        witnessed={**case.witnessed, code: found},
    )


def _training_alone(case: Case, compare: Suspect) -> Witnessed | None:
    """The training rows as the validation rows are, where that makes the model right about them."""
    sample = case.train.sample
    suspicion = compare(case, case.mended, sample)
    if suspicion is None:
        return None
    after = suspicion.apply(sample)
    if not convinces(case, sample, after):
        return None
    trial = try_repair(case, sample, replace(suspicion, apply=_known(suspicion, sample, after)), compare)
    if not trial.confirmed:
        return None
    return Witnessed("training", replace(trial, of="train"), case.score(sample), case.score(after))


def _both(case: Case, suspect: Suspect) -> Witnessed | None:
    suspicion = suspect(case, case.train.sample, case.mended)
    if suspicion is None:
        return None
    trial = try_repair(case, case.mended, suspicion, suspect)
    if not trial.confirmed:
        return None
    sample = case.train.sample
    return Witnessed("both", trial, case.score(sample), case.score(trial.suspicion.apply(sample)))


def most_convincing(
    case: Case, hypotheses: Iterable[Hypothesis], repaired: Callable[[Subject, Hypothesis], Subject]
) -> Hypothesis | None:
    """The hypothesis under which the training metric comes back furthest; the first of equals.

    Args:
        case: as collected.
        hypotheses: what might have happened to both files.
        repaired: the subject as it is under a hypothesis, answered anew.
    """
    rows = case.train.sample
    if len(rows) > MAX_CHOOSING_ROWS:
        rows = rows.at(np.sort(case.rng("choosing").choice(len(rows), MAX_CHOOSING_ROWS, replace=False)))
    best: tuple[float, Hypothesis] | None = None
    for one in hypotheses:
        after = repaired(rows, one)
        if convinces(case, rows, after) and (best is None or case.score(after) > best[0]):
            best = case.score(after), one
    return None if best is None else best[1]


def convinces(case: Case, before: Subject, after: Subject) -> bool:
    """Whether the model is right about these rows afterwards, and was not before."""
    gain = gain_of(case, before, after, "model scale")
    was, now = (case.scorer.skill(case.score(subject)) for subject in (before, after))
    low = (gain.interval or (0.0, 0.0))[0]
    return now >= MIN_SKILL and now - max(was, 0.0) >= MIN_SKILL_GAINED and low > 0


def is_poor(case: Case) -> bool:
    """Whether the model is hardly right about the rows that it was trained on."""
    return case.scorer.skill(case.train_score[0]) < POOR_SKILL


def judge_witnessed(
    case: Case, code: str, found: Witnessed, *, titles: tuple[str, str], training_summary: str
) -> CheckResult:
    """The finding that a comparison of the splits alone could not make.

    Args:
        case: with what was proven.
        code: of the check.
        found: what was proven.
        titles: of a fault of both splits, and of one of the training file.
        training_summary: how to tell of one of the training file, as in `judge`.
    """
    told = replace(case, trials=(found.trial,))
    if found.split == "both":
        return judge(
            told,
            code,
            title=titles[0],
            summary="Training and validation data agree with each other, and not with the model. When we "
            "{intervention} and run the same model again, {metric} goes from {before} to {after} on the validation "
            f"rows, and from {found.train_before:.2f} to {found.train_after:.2f} on the training rows.",
        )
    result = judge(replace(told, mended=case.train.sample), code, title=titles[1], summary=training_summary)
    if result.finding is None:
        return result
    # it costs no validation performance: the training metric is what it spoils
    there = result.finding.affected.model_copy(update={"split": "train"})
    finding = result.finding.model_copy(update={"severity": Severity.WARNING, "affected": there})
    return replace(result, finding=finding, recovered=None)


def _known(suspicion: Suspicion, subject: Subject, after: Subject) -> Callable[[Subject], Subject]:
    """The repair, without running the model again on the rows that it was run on."""
    return lambda faulty: after if faulty is subject else suspicion.apply(faulty)


def _with_sample(split: SplitEvidence, sample: Subject) -> SplitEvidence:
    """The split with repaired rows; of a larger split the sample alone, since only that can be run again."""
    if len(sample) == split.n:
        return replace(split, predictions=sample.predictions, sample=sample)
    at = sample.index
    return SplitEvidence(
        split.name,
        split.labels[at],
        sample.predictions,
        split.fingerprints[at],
        {name: np.asarray(values)[at] for name, values in split.roles.items()},
        replace(sample, index=np.arange(len(sample))),
    )
