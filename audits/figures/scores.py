"""How the scores of each class are spread, and where they are cut."""

import numpy as np

from audits.evidence.case import Case
from audits.figures.judged import scored
from audits.figures.spec import INK, LOST, VALIDATION, figure, of_class, told_apart, x
from schemas.report import Figure

BINS = 40


def scores(case: Case) -> Figure | None:
    """Shares of each true class by score; None where there is no score of two classes."""
    rows = scored(case, case.validation) if case.labels.n_classes == 2 else None
    if rows is None or len(np.unique(rows.labels)) < 2:
        return None
    given = rows.probabilities[:, 1]
    low, high = min(0.0, float(given.min())), max(1.0, float(given.max()))
    edges = np.linspace(low, high, BINS + 1)
    names = told_apart(case.labels.names, 24)
    data = []
    for code, name in enumerate(names):
        counts = np.histogram(given[rows.labels == code], edges)[0]
        data += [
            {"class": name, "from": float(edges[i]), "to": float(edges[i + 1]), "share": float(c / counts.sum())}
            for i, c in enumerate(counts)
            if c
        ]
    cut = case.meaning.threshold
    beyond = [float((given[rows.labels == code] >= cut).mean()) for code in (0, 1)]
    title = f"{beyond[1]:.0%} of {of_class(names[1])} and {beyond[0]:.0%} of {of_class(names[0])} score {cut:g} or more"
    body = {
        "layer": [
            {
                "mark": {"type": "bar", "opacity": 0.6, "binSpacing": 0},
                "encoding": {
                    "x": x(
                        "from",
                        f"score of {of_class(names[1], 24)}",
                        bin="binned",
                        scale={"domain": [low, high]},
                        axis={"tickCount": 5},
                    ),
                    "x2": {"field": "to"},
                    "y": x("share", "share of the class", stack=None, axis={"format": "%", "tickCount": 4}),
                    "color": {
                        "field": "class",
                        "type": "nominal",
                        "scale": {"domain": names, "range": [LOST, VALIDATION]},
                    },
                },
            },
            {
                "mark": {"type": "rule", "color": INK, "strokeDash": [4, 3]},
                "encoding": {"x": {"datum": cut}},
            },
        ]
    }
    return figure("scores", title, f"{title}. The dashed line is the threshold.", data, body)
