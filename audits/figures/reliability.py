"""Predicted and observed frequencies, with what chance alone allows a truthful model.

Reference: Broecker & Smith, 2007, https://doi.org/10.1175/WAF993.1 (consistency bars)
"""

import numpy as np
from scipy.stats import binom

from audits.evidence.case import Case
from audits.figures.judged import Scored, is_confidence, promises, scored
from audits.figures.spec import LOST, VALIDATION, Row, diagonal, figure, of_class, x
from audits.statistics.calibration import equal_mass_bins
from schemas.report import Figure

MIN_ROWS = 60
ROWS_A_BIN = 30
MAX_BINS = 12


def reliability(case: Case) -> Figure | None:
    """The reliability diagram of the validation rows as submitted; None where no probability is stated."""
    rows = scored(case, case.validation)
    if rows is None or len(rows.labels) < MIN_ROWS or not is_confidence(case, rows):
        return None
    data = _bins(rows)
    outside = sum(1 for row in data if not row["low"] <= row["frequency"] <= row["high"])
    judged = (
        f"the probability of {of_class(case.labels.names[1])}"
        if rows.probabilities.shape[1] == 2
        else "the confidence in the favourite class"
    )
    title = (
        f"In {outside} of {len(data)} bins {judged} and the observed frequency differ by more than chance"
        if outside
        else f"In every bin {judged} agrees with the observed frequency, as far as chance lets one see"
    )
    told = "; ".join(f"predicted {row['confidence']:.2f}, observed {row['frequency']:.2f}" for row in data)
    unit = {"domain": [0, 1]}
    body = {
        "layer": [
            diagonal(0, 1),
            {
                "mark": {"type": "rule", "strokeWidth": 7, "color": VALIDATION, "opacity": 0.22},
                "encoding": {
                    "x": x("confidence", "predicted", scale=unit),
                    "y": x("low", None),
                    "y2": {"field": "high"},
                },
            },
            {
                "mark": {"type": "point", "filled": True, "size": 55, "opacity": 1},
                "encoding": {
                    "x": x("confidence", "predicted", scale=unit, axis={"tickCount": 5}),
                    "y": x("frequency", "observed", scale=unit, axis={"tickCount": 5}),
                    "color": {
                        "field": "by chance",
                        "type": "nominal",
                        "scale": {"domain": ["within chance", "beyond chance"], "range": [VALIDATION, LOST]},
                    },
                },
            },
        ]
    }
    return figure("reliability", title, f"{title}. {told}.", data, body)


def _bins(rows: Scored) -> list[Row]:
    confidence, events = promises(rows)
    bin_of = equal_mass_bins(confidence, int(np.clip(len(confidence) // ROWS_A_BIN, 2, MAX_BINS)))
    data = []
    for one in np.unique(bin_of):
        inside = bin_of == one
        n, stated = int(inside.sum()), float(confidence[inside].mean())
        # of a sum of n events; that their probabilities differ makes it narrower by little
        low, high = np.asarray(binom.ppf([0.025, 0.975], n, min(max(stated, 0.0), 1.0))) / n
        observed = float(events[inside].mean())
        data.append(
            {
                "confidence": stated,
                "frequency": observed,
                "low": float(low),
                "high": float(high),
                "rows": n,
                "by chance": "within chance" if low <= observed <= high else "beyond chance",
            }
        )
    return data
