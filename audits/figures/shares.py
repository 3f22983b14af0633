"""How frequent the classes are in both splits."""

import numpy as np

from audits.evidence.case import Case
from audits.evidence.labels import UNKNOWN
from audits.figures.spec import of_class, shares_by_split, told_apart
from schemas.report import Figure

MAX_CLASSES = 15


def class_shares(case: Case) -> Figure | None:
    """Of many classes those whose shares differ most; None for quantities."""
    classes = case.labels.n_classes
    if not classes:
        return None
    counts = [np.bincount(s.labels[s.labels != UNKNOWN], minlength=classes) for s in (case.train, case.validation)]
    if not all(count.any() for count in counts):
        return None
    train, validation = (count / count.sum() for count in counts)
    order = np.argsort(-np.abs(train - validation), kind="stable")
    shown = np.sort(order[:MAX_CLASSES])
    names = told_apart(case.labels.names, 30)
    rows = [
        {"class": names[i], "split": split, "share": float(share[i])}
        for i in shown
        for split, share in (("training", train), ("validation", validation))
    ]
    most = int(order[0])
    name = of_class(names[most], 30)
    title = f"{train[most]:.1%} of the training and {validation[most]:.1%} of the validation rows are of {name}"
    return shares_by_split("class_shares", title, rows, "class", "share of the rows")
