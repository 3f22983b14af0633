"""The task of make_every_kind.py: y is true where a + b + c > 0."""

import numpy as np
import pandas as pd

ROWS = 250


def frame(split: str) -> pd.DataFrame:
    """Columns a, b (with two decimals), c (whole numbers) and y."""
    seed = ("train", "validation").index(split)
    rows = pd.DataFrame(np.random.default_rng(seed).normal(size=(ROWS, 3)).round(2), columns=["a", "b", "c"])
    rows["c"] = rows.c.round().astype(int)
    return rows.assign(y=(rows.a + rows.b + rows.c > 0).astype(int))
