"""Which class was taken for which."""

import numpy as np

from audits.artefacts import Array
from audits.evidence.case import Case
from audits.evidence.labels import UNKNOWN
from audits.figures.spec import INK, VALIDATION, Row, figure, names_axis, nominal, of_class, told_apart
from schemas.report import Figure

MAX_CLASSES = 20
# Cells that are wide enough for their count.
MAX_NUMBERED = 8
SHORT_NAME = 2
OTHERS, NO_ANSWER = "all others", "no answer"


def confusion(case: Case) -> Figure | None:
    """Counts of the validation rows as submitted, by true and by answered class; None for quantities."""
    decisions = case.validation.predictions.decisions
    if decisions is None or not case.labels.n_classes:
        return None
    known = case.validation.labels != UNKNOWN
    if not known.any():
        return None
    counts, names = _counts(case, case.validation.labels[known], decisions[known])
    rows = [*_rows(counts, names)]
    title = _title(counts, names)
    numbers = (
        [
            {
                "mark": {"type": "text", "fontSize": 12},
                "encoding": {
                    "text": {"field": "rows", "type": "quantitative"},
                    # on both grounds, and over a full cell
                    "color": {"condition": {"test": "datum.share > 0.6", "value": "#ffffff"}, "value": INK},
                },
            }
        ]
        if len(names) <= MAX_NUMBERED
        else []
    )
    side = 34 if len(names) <= MAX_NUMBERED else 16
    upright = len(names) <= 4 or max(map(len, names)) <= SHORT_NAME
    answered = {"labelAngle": 0 if upright else -45, "orient": "top", "labelLimit": 90, "domain": False}
    body = {
        "height": {"step": side},
        "encoding": {
            "y": nominal("truth", "true class", axis=names_axis(110)),
            "x": nominal("answer", "answered", axis={**answered, "ticks": False}),
        },
        "layer": [
            {
                "mark": {"type": "rect", "color": VALIDATION},
                "encoding": {
                    "opacity": {
                        "field": "share",
                        "type": "quantitative",
                        "scale": {"domain": [0, 1], "range": [0.04, 1]},
                        "legend": None,
                    }
                },
            },
            *numbers,
        ],
    }
    told = "; ".join(f"{r['truth']} answered {r['answer']}: {r['rows']}" for r in rows if r["rows"])
    return figure("confusion", title, f"{title}. {told[:1500]}.", rows, body)


def _counts(case: Case, labels: Array, decisions: Array) -> tuple[Array, list[str]]:
    """(classes, classes + 1) counts, the last column without an answer; of many classes those with most errors."""
    classes = case.labels.n_classes
    answers = np.where((decisions < 0) | (decisions >= classes), classes, decisions)
    counts = np.bincount(labels * (classes + 1) + answers, minlength=classes * (classes + 1))
    counts = counts.reshape(classes, classes + 1)
    names = told_apart(case.labels.names, 24)
    if classes <= MAX_CLASSES:
        return counts, names
    wrong = counts.sum(axis=1) - np.diagonal(counts[:, :classes])
    kept = np.sort(np.argsort(-wrong, kind="stable")[: MAX_CLASSES - 1])
    place = np.full(classes, len(kept))
    place[kept] = np.arange(len(kept))
    merged = np.zeros((len(kept) + 1, len(kept) + 2), dtype=counts.dtype)
    np.add.at(merged, (place[:, None], np.append(place, len(kept) + 1)[None, :]), counts)
    return merged, [*(names[i] for i in kept), OTHERS]


def _rows(counts: Array, names: list[str]) -> list[Row]:
    sums = np.maximum(counts.sum(axis=1), 1)
    answers = [*names, NO_ANSWER] if counts[:, -1].any() else names
    return [
        {"truth": truth, "answer": answer, "rows": int(counts[i, j]), "share": float(counts[i, j] / sums[i])}
        for i, truth in enumerate(names)
        for j, answer in enumerate(answers)
    ]


def _title(counts: Array, names: list[str]) -> str:
    wrong = counts.copy()
    np.fill_diagonal(wrong[:, : len(names)], 0)
    if not wrong.any():
        return "Every validation row is answered with its class"
    i, j = np.unravel_index(int(wrong.argmax()), wrong.shape)
    total = int(counts[i].sum())
    answer = f"answered as {_told(names[int(j)])}" if j < len(names) else "without an answer"
    truth = _told(names[int(i)])
    return f"The most frequent error: {int(wrong[i, j]):,} of {total:,} rows of {truth} are {answer}"


def _told(name: str) -> str:
    return name if name == OTHERS else of_class(name, 24)
