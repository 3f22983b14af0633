"""The validation images are turned, mirrored, or hold their channels in another order.

What it measures: how far the validation images lie from what the training images, reduced to a few hundred values,
    let expect (a Gaussian with few free directions), as they are and after each change that keeps all values: the
    symmetries of the square (of the rectangle), the orders of the channels, and memory that was reshaped where its
    axes should have been exchanged. Where pictures look alike from all sides, the distribution of the model's own
    confidence (or of its predictions) is held against that on the training images instead. Labels only choose
    between changes after which the images look the same.
Why it matters: a convolutional network knows its objects upright and its channels by position. A reader that
    yields blue first, ignores the camera's orientation or transposes gives no error, only wrong answers.
When it is inconclusive: fewer than `min_rows` validation images.
How to fix: read the images of both splits, and in production, with the same code.
Reference: Tipping & Bishop, 1999, https://doi.org/10.1111/1467-9868.00196
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from audits.artefacts import Array
from audits.evidence.case import Case, Subject
from audits.evidence.features import concatenate
from audits.evidence.images import ImageForm, Operation, Typical
from audits.evidence.outputs import Predictions
from audits.repairs.judgement import judge
from audits.repairs.protocol import Suspicion
from audits.results import CheckResult
from audits.statistics.distributions import ks_2samp_statistic, ks_pvalue
from audits.statistics.intervals import wilson
from schemas.limits.preprocessing import ImageGeometry
from schemas.report import Effect, Remedy

CODE = "preprocessing.image_geometry"
# So many images of a split tell which way is up; the repair changes all.
MAX_JUDGED = 600
# Images that the model is run on after each change.
MAX_RUN = 300
# Standard errors by which the validation images must lie farther away than training images.
MIN_ERRORS = 4.0
# Changes whose fit differs by less than this many standard errors are as good as each other.
TIED_ERRORS = 3.0
# From this estimated share of changed images on, all are; below, only those that fit better are repaired ...
ALL_CHANGED = 0.8
# ... unless more than this share of the training images would be taken for changed ones.
MAX_MISTAKEN = 0.15
MIN_DISTANCE, LEVEL = 0.1, 0.001
# Distances of answers that differ by less than this are the same.
TIED_DISTANCE = 0.05
# A change that costs the model no more than this share of its training score is none to it.
HARMLESS = 0.1


def image_geometry(case: Case) -> CheckResult:
    """Judge the trial of putting the images right."""
    limits = cast(ImageGeometry, case.limits[CODE])
    n = len(case.mended)
    if ImageForm.of(case.space, case.mended.rows) is None:
        return CheckResult.not_applicable("the rows are no images")
    return judge(
        case,
        CODE,
        title="The validation images are turned, mirrored or hold their channels in another order",
        summary="When we {intervention} and run the same model again, {metric} goes from {before} to {after}.",
        too_few=f"{n} of {limits.min_rows} validation images" if n < limits.min_rows else None,
    )


def suspect(case: Case, reference: Subject, subject: Subject) -> Suspicion | None:
    """A change after which the validation images resemble the training images far better."""
    limits = cast(ImageGeometry, case.limits[CODE])
    form = ImageForm.of(case.space, subject.rows)
    if form is None or not form.simple or min(len(subject), len(reference)) < limits.min_rows:
        return None
    found = _by_pixels(case, form, reference, subject, limits) or _by_answers(case, form, reference, subject)
    if found is None:
        return None
    change, rows = found.change, found.rows

    def apply(faulty: Subject) -> Subject:
        return case.rerun(faulty, changed(form, cast("Array", faulty.rows), change, rows))

    words = change.words(form, "the validation images" if rows is None else f"{int(rows.sum())} validation images")
    return Suspicion(
        code=CODE,
        intervention=words,
        apply=apply,
        placebo=_placebo(case, form, reference, found),
        rows=rows,
        effect=found.effect,
        p_value=1 / (1 + limits.splits),
        evidence={"change": change.words(form, "images"), "seen_by": found.seen_by, "images": len(subject)},
        remedy=_remedy(form, change, rows),
    )


def changed(form: ImageForm, rows: Array, change: Operation, at: Array | None = None) -> Array:
    """A copy of the rows (of those in the mask, where there is one) after the change."""
    if at is None:
        return form.rows(change(form.images(rows)))
    result = np.array(rows, copy=True)
    result[at] = form.rows(change(form.images(rows[at])))
    return result


@dataclass(frozen=True)
class _Found:
    """A suspected change.

    Attributes:
        change: that puts the images right.
        rows: (subject rows,) mask of the images that need it; None for all.
        effect: what was measured.
        seen_by: "pixels" or "answers".
    """

    change: Operation
    rows: Array | None
    effect: Effect
    seen_by: str


def _by_pixels(
    case: Case, form: ImageForm, reference: Subject, subject: Subject, limits: ImageGeometry
) -> _Found | None:
    """The change after which the images fit the training images best, if it explains why they do not fit now."""
    rng = case.rng("image geometry")
    one_half, other_half = np.array_split(rng.permutation(len(reference)), 2)
    typical = Typical.of(form, cast("Array", reference.rows)[one_half])
    judged = _drawn(np.arange(len(subject)), rng)
    ours, theirs = (cast("Array", s.rows)[at] for s, at in ((subject, judged), (reference, _drawn(other_half, rng))))
    away, home = (typical.distances(rows, ()) for rows in (ours, theirs))
    before = away.as_is.mean() - home.as_is.mean()
    if before <= MIN_ERRORS * _error(away.as_is, home.as_is):
        return None
    away, home = (typical.distances(rows) for rows in (ours, theirs))
    gains, at_home = (np.maximum(seen.as_is - seen.changed, 0.0) for seen in (away, home))
    falls = gains.mean(axis=1) - at_home.mean(axis=1)
    best = _preferred(case, form, subject, _tied(falls, gains))
    if falls[best] <= _largest_fall_by_chance(at_home, len(judged), limits.splits, rng):
        return None
    share, mistaken = ((seen.as_is > seen.changed[best]).mean() for seen in (away, home))
    some = (share - mistaken) / max(1 - 2 * mistaken, 1e-9) < ALL_CHANGED and mistaken <= MAX_MISTAKEN
    after = np.minimum(away.as_is, away.changed[best]) if some else away.changed[best]
    left = after.mean() - home.as_is.mean()
    if left > limits.max_gap_left * before:
        return None
    rows = None
    if some:
        every = typical.distances(cast("Array", subject.rows), [form.operations[best]])
        rows = every.as_is > every.changed[0]
    effect = Effect(
        name="share_of_images_that_fit_the_training_images_better_after_the_change",
        estimate=float(share),
        interval=wilson(round(share * len(judged)), len(judged)),
        limit=float(mistaken),
    )
    return _Found(form.operations[best], rows, effect, "pixels")


def _drawn(positions: Array, rng: np.random.Generator) -> Array:
    return positions if len(positions) <= MAX_JUDGED else np.sort(rng.choice(positions, MAX_JUDGED, replace=False))


def _error(a: Array, b: Array) -> float:
    return float(np.sqrt(a.var() / len(a) + b.var() / len(b)))


def _tied(falls: Array, gains: Array) -> Array:
    """Positions of the changes whose mean gain cannot be told from the best one's, the best first."""
    best = int(falls.argmax())
    differences = gains[best] - gains
    errors = differences.std(axis=1) / np.sqrt(gains.shape[1])
    close = falls[best] - falls <= TIED_ERRORS * errors
    order = np.argsort(-falls, kind="stable")
    return np.asarray(order[close[order]])


def _largest_fall_by_chance(gains: Array, size: int, splits: int, rng: np.random.Generator) -> float:
    """The largest fall of the distance between random parts of the held-out training images."""
    images = gains.shape[1]
    size, largest = min(size, images // 2), 0.0
    for _ in range(splits):
        drawn = rng.permutation(images)
        falls = gains[:, drawn[:size]].mean(axis=1) - gains[:, drawn[size:]].mean(axis=1)
        largest = max(largest, float(falls.max()))
    return largest


def _preferred(case: Case, form: ImageForm, subject: Subject, tied: Array) -> int:
    """Of changes that fit equally well, the one after which the model is right most often, if two halves agree on it.

    Where left and right are different classes, images of both sides and their mirror images are alike.
    """
    if len(tied) == 1:
        return int(tied[0])
    changes = [form.operations[i] for i in tied]
    part = _part(subject)
    after = _rerun_after(case, form, part, changes)
    best = {
        int(np.argmax([case.score(one.at(half)) for one in after]))
        for half in (np.arange(len(part)) % 2 == 0, np.arange(len(part)) % 2 == 1)
    }
    return int(tied[best.pop() if len(best) == 1 else 0])


def _by_answers(case: Case, form: ImageForm, reference: Subject, subject: Subject) -> _Found | None:
    """The change after which the model's answers are distributed as on the training images, if they are not now."""
    at_home = _summary(_part(reference).predictions)
    part = _part(subject)
    as_is = _summary(part.predictions)
    if min(len(at_home), len(as_is)) < 2:
        return None
    before = ks_2samp_statistic(as_is, at_home)
    if before < MIN_DISTANCE or ks_pvalue(before, len(as_is), len(at_home)) > LEVEL:
        return None
    answers = (_summary(one.predictions) for one in _rerun_after(case, form, part, form.simple))
    after = np.array([ks_2samp_statistic(answer, at_home) for answer in answers])
    close = np.argsort(after, kind="stable")
    best = _preferred(case, form, subject, close[np.sort(after) <= after.min() + TIED_DISTANCE])
    if after[best] > before / 2:
        return None
    effect = Effect(
        name="distance_of_the_models_answers_from_those_on_training", estimate=before, limit=float(after[best])
    )
    return _Found(form.simple[best], None, effect, "answers")


def _part(subject: Subject) -> Subject:
    """At most so many rows, evenly drawn."""
    return subject if len(subject) <= MAX_RUN else subject.at(np.linspace(0, len(subject) - 1, MAX_RUN).astype(int))


def _summary(predictions: Predictions) -> Array:
    """(answered rows,) the confidence in the chosen class, or the predicted quantity."""
    told = predictions.values if predictions.probabilities is None else predictions.probabilities.max(axis=1)
    assert told is not None  # noqa: S101 - one of the two is there by construction
    return told[predictions.answered]


def _rerun_after(case: Case, form: ImageForm, subject: Subject, changes: Sequence[Operation]) -> list[Subject]:
    """The subject after each change, in one call of the model."""
    rows = [changed(form, cast("Array", subject.rows), change) for change in changes]
    answers, n = case.predict(concatenate(rows)), len(subject)
    return [
        replace(subject, rows=one, predictions=answers.at(np.arange(i * n, (i + 1) * n))) for i, one in enumerate(rows)
    ]


def _placebo(
    case: Case, form: ImageForm, reference: Subject, found: _Found
) -> Callable[[Subject, np.random.Generator], Subject]:
    """Wrong changes: after the right one another, the same for all images or one for each.

    Where only some images are repaired, others are changed instead.
    """
    wrong = _costly(case, form, reference)

    def placebo(faulty: Subject, rng: np.random.Generator) -> Subject:
        rows = cast("Array", faulty.rows)
        if found.rows is not None:
            return replace(faulty, rows=changed(form, rows, found.change, rng.permutation(found.rows)))
        right = changed(form, rows, found.change)
        which = int(rng.integers(len(wrong) + 1))
        if which < len(wrong):
            return replace(faulty, rows=changed(form, right, wrong[which]))
        each = rng.integers(len(wrong), size=len(rows))
        for i, change in enumerate(wrong):
            right = changed(form, right, change, each == i)
        return replace(faulty, rows=right)

    return placebo


def _costly(case: Case, form: ImageForm, reference: Subject) -> tuple[Operation, ...]:
    """The changes that spoil training images: to a model that does not mind them, they would be no placebos."""
    part = _part(reference)
    as_is = case.score(part)
    costs = [as_is - case.score(after) for after in _rerun_after(case, form, part, form.simple)]
    limit = HARMLESS * max(as_is - case.scorer.chance, 0.0)
    costly = tuple(change for change, cost in zip(form.simple, costs, strict=True) if cost > limit)
    return costly or form.simple


def _remedy(form: ImageForm, change: Operation, rows: Array | None) -> Remedy:
    reasons = []
    if change.channels:
        reasons.append("OpenCV reads blue first, Pillow and TensorFlow red")
    if change.turns or change.mirrored:
        reasons.append("some readers turn a photograph as its EXIF orientation says and others do not")
        reasons.append("augmentation belongs to the training alone")
    if change.memory:
        reasons.append("exchange axes with np.transpose, never with reshape")
    some = "" if rows is None else " Only some of the images are concerned: look for a second source or camera."
    text = f"Read the images of both splits with the same code: {'; '.join(reasons)}.{some}"
    code = (
        "import numpy as np\n\n"
        "def put_right(x: np.ndarray) -> np.ndarray:\n"
        f"    # {change.words(form, 'the images')}\n"
        + "".join(f"    {line}\n" for line in change.code(form))
        + "    return np.ascontiguousarray(x)\n"
    )
    return Remedy(text=text, code=code)
