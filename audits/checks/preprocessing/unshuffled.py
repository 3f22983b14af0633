"""The order of the rows carries the label.

What it measures: the number of runs of equal labels in the training file against the number that a random order
    gives (Wald-Wolfowitz, for any number of classes; for a quantity, above and below its median). Where the file is
    sorted, whether the validation rows were cut off from it: their labels are classes that training hardly has, or
    quantities beyond those of training.
Why it matters: a file sorted by label, read in order with a small shuffle buffer or split by position, shows the
    network one class after the other, and may put one class into one split alone.
When it is inconclusive: fewer than 20 rows.
How to fix: shuffle before splitting, and shuffle with a buffer as large as the data in training.
Reference: Wald & Wolfowitz, 1940, https://doi.org/10.1214/aoms/1177731909; Mood, 1940,
    https://doi.org/10.1214/aoms/1177731825
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from audits.evidence.case import Case
from audits.evidence.labels import UNKNOWN
from audits.results import CheckResult
from audits.statistics.distributions import runs_test
from schemas.report import Effect, Finding, Outcome, Remedy, Severity

CODE = "preprocessing.unshuffled"
MIN_ROWS = 20
MAX_P = 1e-6
# Fewer than this share of the expected runs: the file is sorted or nearly so.
MAX_RUNS_SHARE = 0.5
# Validation rows were cut off a sorted file: so many of them have labels that training hardly has ...
MIN_BEYOND = 0.3
CRITICAL_BEYOND = 0.8
# ... classes this many times as frequent here, or quantities beyond all but this share of training.
TIMES = 10
OUTER = 0.01
# A file that is sorted by a quantity, not merely one in which it drifts.
SORTED = 0.95
MIN_CUT_ROWS = 10


@dataclass(frozen=True)
class _Cut:
    """Validation rows that stood at the end of a sorted file.

    Attributes:
        share: of the validation rows, with labels that training hardly has.
        labels: those classes, or the bounds of the quantities.
        told: a sentence.
    """

    share: float
    labels: tuple[str, ...]
    told: str

    @property
    def severity(self) -> Severity:
        return Severity.CRITICAL if self.share >= CRITICAL_BEYOND else Severity.WARNING


def unshuffled(case: Case) -> CheckResult:
    """Count the runs of the training labels; an observation, unless the validation rows were cut off a sorted file."""
    if case.train.n < MIN_ROWS:
        return CheckResult.inconclusive(f"{case.train.n} of {MIN_ROWS} rows")
    labels = case.train.labels
    codes = (labels > np.median(labels)).astype(np.int64) if case.is_regression else labels
    if len(np.unique(codes)) < 2:
        return CheckResult.not_applicable("one label only")
    test = runs_test(codes)
    if test.p_value >= MAX_P or test.runs > MAX_RUNS_SHARE * test.expected:
        # of the runs that a random order has, this share must be gone
        return CheckResult.passed(smallest=1 - MAX_RUNS_SHARE)
    cut = _cut_off(case)
    beyond = "" if cut is None else f" {cut.told}: it was split by position."
    finding = Finding(
        code=CODE,
        family="preprocessing",
        severity=Severity.INFO if cut is None else cut.severity,
        title="The order of the rows carries the label" if cut is None else "A sorted file was split by position",
        summary=f"The training labels come in {test.runs} runs where a random order has about "
        f"{test.expected:.0f}: the file "
        f"is sorted.{beyond} Shuffle it before it is split and in training.",
        evidence={} if cut is None else {"share_beyond_training": cut.share, "labels": list(cut.labels)},
        effect=Effect(name="runs_of_equal_labels", estimate=float(test.runs), limit=MAX_RUNS_SHARE * test.expected),
        p_value=test.p_value,
        n=case.train.n,
        remedy=Remedy(
            text="Shuffle the rows before splitting, and give tf.data a shuffle buffer as large as the data.",
            code=(
                "import numpy as np\n\n"
                "def shuffled(x, y, seed: int = 0):\n"
                "    order = np.random.default_rng(seed).permutation(len(y))\n"
                "    return x[order], y[order]\n\n"
                "def split(x, y, share: float = 0.2):\n"
                "    x, y = shuffled(x, y)\n"
                "    cut = int(len(y) * (1 - share))\n"
                "    return (x[:cut], y[:cut]), (x[cut:], y[cut:])\n"
            ),
        ),
    )
    if cut is not None:
        return CheckResult(Outcome.FAIL, finding=finding)
    return CheckResult(
        Outcome.PASS,
        "observed; its cost cannot be measured without training anew",
        finding=finding,
        ranks=False,
    )


def _cut_off(case: Case) -> _Cut | None:
    """Whether the validation rows have the labels at which the sorted training file ends."""
    if case.validation.n < MIN_CUT_ROWS or "time" in case.train.roles:
        # what has times is split by them with good reason
        return None
    return _quantities_beyond(case) if case.is_regression else _classes_beyond(case)


def _quantities_beyond(case: Case) -> _Cut | None:
    train, validation = case.train.labels, case.validation.labels
    if abs(float(spearmanr(np.arange(len(train)), train).statistic)) < SORTED:
        return None
    low, high = np.quantile(train, [OUTER, 1 - OUTER])
    share = float(max(np.mean(validation > high), np.mean(validation < low)))
    if share < MIN_BEYOND:
        return None
    where = f"above {high:.4g}" if np.mean(validation > high) == share else f"below {low:.4g}"
    return _Cut(share, (where,), f"{share:.0%} of the validation labels lie {where}, where training has 1 %")


def _classes_beyond(case: Case) -> _Cut | None:
    classes = case.labels.n_classes
    shares = [
        np.bincount(labels[labels != UNKNOWN], minlength=classes) / max(1, len(labels))
        for labels in (case.train.labels, case.validation.labels)
    ]
    rare = (shares[1] > TIMES * shares[0]) & (shares[1] * case.validation.n >= MIN_CUT_ROWS)
    share = float(shares[1][rare].sum())
    # blocks: each class stands in one stretch, or nearly so
    blocks = int(np.count_nonzero(np.diff(case.train.labels))) + 1
    if share < MIN_BEYOND or blocks > 2 * classes:
        return None
    names = tuple(str(case.labels.names[k]) for k in np.flatnonzero(rare))
    return _Cut(
        share,
        names,
        f"{share:.0%} of the validation rows are of {', '.join(names[:5])}, which "
        f"{float(shares[0][rare].sum()):.1%} of the training rows are of",
    )
