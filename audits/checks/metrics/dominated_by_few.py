"""A few rows carry most of the loss.

What it measures: the share of the squared error that one row in a hundred (three at least) has, with a bootstrap
    interval, against that share where errors have usual tails (Student's t with 5 degrees of freedom, simulated at
    the same number of rows); and how far R2 moves without these rows, beyond what it moves where tails are usual.
    If the worst 1 % of rows hold less than half of the squared error, the worst 5 % are examined instead. Targets that
    lie beyond all training targets by more than these span, and have most of the error, are told whatever another draw
    of rows would show.
Why it matters: R2 and RMSE then tell of a handful of rows. Another draw of the validation data gives another
    number, and whoever trains for it trains for them.
When it is inconclusive: fewer than `min_rows` answered rows.
How to fix: look at the named rows for mistakes in the target; report MAE or the median error beside RMSE; train with
    a Huber loss, or on the logarithm of a target with a long tail.
Reference: Huber, 1964, https://doi.org/10.1214/aoms/1177703732; Willmott & Matsuura, 2005,
    https://doi.org/10.3354/cr030079
"""

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy.stats import median_abs_deviation, skew

from audits.artefacts import Array
from audits.evidence.case import Case, Subject
from audits.evidence.gap import honest_validation
from audits.evidence.scoring import quantile_interval
from audits.repairs.snippets import constant
from audits.results import CheckResult
from audits.statistics import metrics, resampling, tails
from audits.statistics.intervals import Interval
from schemas.limits.metrics import DominatedByFew
from schemas.report import Affected, Confirmation, Effect, Finding, Outcome, Remedy, Severity

CODE = "metrics.dominated_by_few"
MAX_RESAMPLES = 1000
MAX_DRAWS = 2_000_000
MAX_ROWS_NAMED = 100
# Of the standard deviation of normal errors; 95 % as efficient as least squares there (Huber, 1964).
HUBER = 1.345
LONG_TAIL = 2.0


@dataclass(frozen=True)
class _Few:
    """The rows with the largest errors, and what they do.

    Attributes:
        rows: (few,) positions, the worst first.
        share, share_interval: of the squared error that they have.
        moved, moved_interval: R2 without them minus R2.
    """

    rows: Array
    share: float
    share_interval: Interval
    moved: float
    moved_interval: Interval


def dominated_by_few(case: Case) -> CheckResult:
    """Measure the share, then whether the metric depends on it."""
    limits = cast(DominatedByFew, case.limits[CODE])
    if not case.is_regression:
        return CheckResult.not_applicable(
            "every row of a class has the same weight in balanced accuracy; confidence that is wrong where it is "
            "high is told by metrics.miscalibration"
        )
    subject = honest_validation(case)
    subject = subject.at(subject.predictions.answered)
    n = len(subject)
    if n < limits.min_rows:
        return CheckResult.inconclusive(f"{n} of {limits.min_rows} rows with an answer")
    errors = np.square(_answers(subject) - subject.labels)
    strange = _far_beyond_training(case, subject)
    most = errors[strange].sum() > limits.min_share * errors.sum() and 1 - case.score(subject) > limits.min_change
    if strange.sum() >= limits.min_strange and most:
        # no other draw of rows is needed to doubt such targets
        few = _few(case, subject, errors, int(strange.sum()))
        usual = tails.usual_shares(n, len(few.rows), case.rng("usual tails"), max(200, MAX_DRAWS // (10 * n)))
        return _found(case, subject, few, usual, limits.min_share)
    sizes = [(limits.few, limits.min_share), (limits.some, limits.min_share_of_some)]
    counts = [(max(limits.min_few, math.ceil(share * n)), least) for share, least in sizes]
    count, min_share = next(
        ((count, least) for count, least in counts if tails.share_of_largest(errors, count) > least), (0, 0.0)
    )
    if not count:
        # few healthy errors come near: the simulation is made only where it could matter
        return CheckResult.passed(smallest=limits.min_share)
    few = _few(case, subject, errors, count)
    draws = max(200, min(MAX_RESAMPLES, MAX_DRAWS // n))
    usual = tails.usual_shares(n, count, case.rng("usual tails"), draws)
    visible = min_share + (few.share_interval[1] - few.share_interval[0]) / 2
    if few.share_interval[0] <= float(np.quantile(usual, 1 - limits.max_p)):
        return CheckResult.passed(smallest=visible, margin=1.0)
    expected = (1 - case.score(subject) - few.moved) * float(usual.mean())
    moves = max(few.moved_interval[0], -few.moved_interval[1]) > limits.min_change + expected
    carries = few.share_interval[0] > min_share and 1 - case.score(subject) > limits.min_change
    if not (moves or carries):
        return CheckResult.passed(smallest=visible, margin=1.0, reason="R2 hardly depends on the largest errors")
    return _found(case, subject, few, usual, min_share)


def _far_beyond_training(case: Case, subject: Subject) -> Array:
    """(rows,) whether the target lies beyond all training targets by more than these span."""
    low, high = float(np.min(case.train.labels)), float(np.max(case.train.labels))
    return np.asarray((subject.labels < low - (high - low)) | (subject.labels > high + (high - low)))


def _answers(subject: Subject) -> Array:
    return cast("Array", subject.predictions.values)


def _few(case: Case, subject: Subject, errors: Array, count: int) -> _Few:
    """The largest errors; in each resample, those of the resample."""
    order = tails.largest(errors, len(errors))
    labels, answers, falling = subject.labels[order], _answers(subject)[order], errors[order]
    groups = None if subject.groups is None else subject.groups[order]
    resamples = min(MAX_RESAMPLES, resampling.resamples_for(len(order)))
    shares, moves = [], []
    for counts in resampling.count_chunks(len(order), case.rng("few"), n_resamples=resamples, groups=groups):
        top = tails.top_counts(counts, count)
        shares.append((top @ falling) / np.maximum(counts @ falling, 1e-300))
        moves.append(metrics.r2(labels, answers, counts - top) - metrics.r2(labels, answers, counts))
    rest = order[count:]
    moved = case.score(subject.at(rest)) - case.score(subject)
    return _Few(
        order[:count],
        tails.share_of_largest(errors, count),
        quantile_interval(np.concatenate(shares)),
        moved,
        quantile_interval(np.concatenate(moves)),
    )


def _found(case: Case, subject: Subject, few: _Few, usual: Array, min_share: float) -> CheckResult:
    limits = cast(DominatedByFew, case.limits[CODE])
    n, before = len(subject), case.score(subject)
    labels, answers = subject.labels, _answers(subject)
    rmse, mae = float(metrics.rmse(labels, answers)), float(metrics.mae(labels, answers))
    median = float(np.median(np.abs(labels - answers)))
    rest = np.setdiff1d(np.arange(n), few.rows)
    rmse_rest = float(metrics.rmse(labels[rest], answers[rest]))
    finding = Finding(
        code=CODE,
        family="metrics",
        severity=Severity.WARNING,
        title="A few rows carry most of the loss",
        summary=f"{len(few.rows)} of {n} validation rows have {few.share:.0%} of the squared error (usual: "
        f"{usual.mean():.0%}). R2 is {before:.2f}, without them {before + few.moved:.2f}; RMSE is {rmse:.4g}, without "
        f"them {rmse_rest:.4g}, the mean absolute error {mae:.4g} and the median one {median:.4g}.",
        effect=Effect(
            name="share_of_squared_error",
            estimate=few.share,
            interval=few.share_interval,
            limit=min_share,
        ),
        p_value=(1 + int((usual >= few.share).sum())) / (len(usual) + 1),
        n=n,
        affected=Affected(
            rows=[int(i) for i in subject.index[few.rows][:MAX_ROWS_NAMED]],
            share_of_rows=len(few.rows) / n,
        ),
        evidence={
            "rows": len(few.rows),
            "usual_share": float(usual.mean()),
            "rmse": rmse,
            "mae": mae,
            "rmse_over_mae": rmse / mae if mae > 0 else None,
            "median_absolute_error": median,
            "rmse_without": rmse_rest,
            "r2_without": before + few.moved,
        },
        remedy=_remedy(case, subject, few),
    )
    rng = case.rng("few placebo")
    left_out = (case.score(subject.at(rng.permutation(n)[len(few.rows) :])) for _ in range(limits.placebos))
    confirmation = Confirmation(
        confirmed=True,
        intervention=f"leave out the {len(few.rows)} rows with the largest errors",
        metric=case.scorer.metric,
        before=before,
        after=before + few.moved,
        gain_interval=few.moved_interval,
        placebo_gain=max((score - before for score in left_out), key=abs),
        n=n,
    )
    return CheckResult(Outcome.FAIL, finding=finding, confirmation=confirmation)


def _remedy(case: Case, subject: Subject, few: _Few) -> Remedy:
    errors = subject.labels - _answers(subject)
    delta = HUBER * float(median_abs_deviation(errors, scale="normal"))
    train = case.train.labels
    long_tail = bool(train.min() > -1 and skew(train) > LONG_TAIL)
    text = (
        "Look at the targets of the named rows first. Report MAE or the median error beside RMSE, and train with a "
        f"Huber loss that is linear from {delta:.4g} on"
        + ("; the target has a long tail, so that training on its logarithm may serve better." if long_tail else ".")
    )
    rows = [int(i) for i in subject.index[few.rows][:MAX_ROWS_NAMED]]
    code = (
        "import numpy as np\n\n"
        + constant("ROWS", rows, "validation rows with the largest errors")
        + f"DELTA = {delta!r}  # 1.345 robust deviations of the errors\n\n"
        "def robust_report(y: np.ndarray, predicted: np.ndarray) -> dict[str, float]:\n"
        "    error = np.abs(np.asarray(y, dtype='float64') - predicted)\n"
        "    rest = np.delete(error, ROWS)\n"
        "    huber = np.where(error <= DELTA, error**2 / 2, DELTA * (error - DELTA / 2))\n"
        "    return {\n"
        "        'mae': float(error.mean()),\n"
        "        'median_absolute_error': float(np.median(error)),\n"
        "        'huber': float(huber.mean()),\n"
        "        'rmse': float(np.sqrt((error**2).mean())),\n"
        "        'rmse_without_these_rows': float(np.sqrt((rest**2).mean())),\n"
        "    }\n\n"
        "def compile_with_huber(model, optimizer='adam'):\n"
        "    import keras\n\n"
        "    model.compile(optimizer, loss=keras.losses.Huber(delta=DELTA), metrics=['mae'])\n"
        "    return model\n"
    )
    return Remedy(text=text, code=code)
