"""Cases whose reports hold every kind of figure, examined once."""

import functools
from collections.abc import Mapping

from audits import diagnosis
from audits.evidence.case import Case
from audits.figures.drawing import Figures, draw
from audits.results import CheckResult
from schemas.report import Figure, Gap
from tests import factories

EPOCHS = range(1, 41)
HOSTILE = "<script>x</script>"
CASES = {
    "scaled": {"fault": factories.scaled(100.0, 5.0, [0, 1])},
    "holes": {"fault": factories.holes(0.3, (0, 1)), "texts": 1},
    "copied": {"fault": factories.copied(0.4)},
    "memorised": {
        "model": factories.memoriser,
        "history": {"loss": [1 / e for e in EPOCHS], "val_loss": [1 / e + 0.02 * e for e in EPOCHS]},
    },
    "quantities": {"task": "regression", "fault": factories.scaled(3.0, 0.0, [0])},
    "classes": {"task": "multiclass", "classes": 4, "names": [HOSTILE, "a.b[0]", "datum['x']", "ünï"]},
    "images": {"task": "multiclass", "layout": "image", "fault": factories.scaled(255.0)},
}
# What their faults are found by: the other checks would only cost time.
CODES = {
    "scaled": {"preprocessing.scaling_mismatch"},
    "holes": {"preprocessing.missing_values"},
    "copied": {"preprocessing.duplicate_leakage"},
    "memorised": {"overfitting.overtraining", "overfitting.memorization", "overfitting.generalization_gap"},
    "quantities": {"preprocessing.scaling_mismatch"},
    "classes": {"metrics.miscalibration"},
    "images": {"preprocessing.scaling_mismatch"},
}
Drawn = tuple[Case, Mapping[str, CheckResult], Gap, Figures]


@functools.cache
def drawn(name: str) -> Drawn:
    submitted = factories.case(**CASES[name])
    case, results = factories.examined(submitted, CODES[name])
    gap = diagnosis.measure_gap(case, results, diagnosis.attribute(case, results))
    return submitted, results, gap, draw(case, submitted, results, gap)


def figures_of(name: str) -> list[Figure]:
    made = drawn(name)[3]
    return [*made.general, *(figure for figures in made.of.values() for figure in figures)]


def figure_of(name: str, kind: str) -> Figure:
    return next(figure for figure in figures_of(name) if figure.kind == kind)


def values(figure: Figure) -> list[dict]:
    return figure.vega_lite["data"]["values"]
