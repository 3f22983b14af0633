"""Where a regression errs, and by how much."""

import numpy as np

from audits.evidence.case import Case
from audits.figures.spec import LOST, MAX_POINTS, VALIDATION, figure, line_at, x
from schemas.report import Figure

BINS = 8
MIN_ROWS = 20


def residuals(case: Case) -> Figure | None:
    """Answer less truth against the answer, of sampled rows, with the median of each part of the range."""
    subject = case.validation.sample
    values = subject.predictions.values
    if values is None:
        return None
    known = np.flatnonzero(np.isfinite(values) & np.isfinite(subject.labels))
    if len(known) < MIN_ROWS:
        return None
    answers = np.asarray(values[known], dtype=np.float64)
    errors = answers - subject.labels[known]
    drawn = np.sort(case.rng("residuals").choice(len(known), min(len(known), MAX_POINTS - BINS), replace=False))
    number = subject.index[known]
    rows = [{"row": int(number[i]), "answer": float(answers[i]), "error": float(errors[i])} for i in drawn]
    parts = _medians(answers, errors)
    bias, spread = float(np.median(errors)), float(np.median(np.abs(errors)))
    n = case.validation.n
    drawn_of = f"{len(rows)} of {n:,} rows drawn" if len(rows) < n else f"{n:,} rows"
    told_bias = f"{bias:+.3g}".replace("-", "\N{MINUS SIGN}")
    title = f"Half of the errors are smaller than {spread:.3g}; the median error is {told_bias} ({drawn_of})"
    told = "; ".join(f"near {part['answer']:.3g} the median error is {part['error']:+.3g}" for part in parts)
    flat = {"zero": False}
    body = {
        "layer": [
            line_at("y", 0.0, strokeWidth=1.5),
            {
                "mark": {"type": "point", "filled": True, "size": 22, "opacity": 0.45, "color": VALIDATION},
                "encoding": {
                    "x": x("answer", "answer of the model", scale=flat),
                    "y": x("error", "prediction - label", scale=flat, axis={"tickCount": 5}),
                },
            },
            {
                "data": {"values": parts},
                "mark": {"type": "line", "color": LOST, "strokeWidth": 2, "point": {"color": LOST, "size": 30}},
                "encoding": {"x": x("answer", None), "y": x("error", None)},
            },
        ]
    }
    return figure("residuals", title, f"{title}. {told}.", rows, body)


def _medians(answers: np.ndarray, errors: np.ndarray) -> list[dict[str, float]]:
    """The median error in each eighth of the rows by answer."""
    order = np.argsort(answers, kind="stable")
    return [
        {"answer": float(np.median(answers[part])), "error": float(np.median(errors[part]))}
        for part in np.array_split(order, BINS)
        if len(part)
    ]
