"""The order of the rows carries the label.

What it measures: the number of runs of equal labels in the training file against the number that a random order
    gives (Wald-Wolfowitz, for any number of classes; for a quantity, above and below its median).
Why it matters: a file sorted by label, read in order with a small shuffle buffer or split by position, shows the
    network one class after the other, and may put one class into one split alone.
When it is inconclusive: fewer than 20 rows.
How to fix: shuffle before splitting, and shuffle with a buffer as large as the data in training.
Reference: Wald & Wolfowitz, 1940, https://doi.org/10.1214/aoms/1177731909; Mood, 1940,
    https://doi.org/10.1214/aoms/1177731825
"""

import numpy as np

from audits.evidence.case import Case
from audits.results import CheckResult
from audits.statistics.distributions import runs_test
from schemas.report import Effect, Finding, Outcome, Remedy, Severity

CODE = "preprocessing.unshuffled"
MIN_ROWS = 20
MAX_P = 1e-6
# Fewer than this share of the expected runs: the file is sorted or nearly so.
MAX_RUNS_SHARE = 0.5


def unshuffled(case: Case) -> CheckResult:
    """Count the runs of the training labels; always an observation, since its cost needs training anew."""
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
    finding = Finding(
        code=CODE,
        family="preprocessing",
        severity=Severity.INFO,
        title="The order of the rows carries the label",
        summary=f"The training labels come in {test.runs} runs where a random order has about "
        f"{test.expected:.0f}: the file "
        "is sorted. Shuffle it before it is split and in training.",
        effect=Effect(name="runs_of_equal_labels", estimate=float(test.runs), limit=MAX_RUNS_SHARE * test.expected),
        p_value=test.p_value,
        n=case.train.n,
        remedy=Remedy(
            text="Shuffle the rows before splitting, and give tf.data a shuffle buffer as large as the data.",
            code=(
                "import numpy as np\n\n"
                "def shuffled(x, y, seed: int = 0):\n"
                "    order = np.random.default_rng(seed).permutation(len(y))\n"
                "    return x[order], y[order]\n"
            ),
        ),
    )
    return CheckResult(
        Outcome.PASS,
        "observed; its cost cannot be measured without training anew",
        finding=finding,
        ranks=False,
    )
