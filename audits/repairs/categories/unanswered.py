"""Ids for which the model's embedding has no row of its own: no answer, or one for another id."""

from collections.abc import Mapping, Sequence

import numpy as np

from audits.artefacts import Array
from audits.evidence.case import Case
from audits.evidence.tables import IdsOutOfRange, ids_out_of_range
from audits.repairs.reliance import imitate, placed
from audits.repairs.snippets import constant, first_of
from audits.results import CheckResult
from schemas.report import Affected, Effect, Finding, Outcome, Remedy, Severity

CRITICAL_SHARE = 0.05
MAX_LISTED = 20
MAX_ROWS_NAMED = 100


def ids_without_a_row(case: Case, code: str) -> CheckResult | None:
    """A finding as soon as one validation row holds one: such rows count as wrong, whatever the model would say."""
    found = [one for one in ids_out_of_range(case.internals, case.space, case.mended.rows) if one.rows.any()]
    if not found:
        return None
    rows = np.any([one.rows for one in found], axis=0)
    share = float(rows.mean())
    unit_of = {name: unit for unit, name in enumerate(case.space.units)}
    ids = {one.column: case.space.values(case.mended.rows, unit_of[one.column])[one.rows] for one in found}
    rng, n = case.rng("ids without a row"), len(case.train.sample)
    hits = {one.column: rng.random(n) < one.share for one in found}
    written = {name: placed(hit, rng.choice(ids[name], int(hit.sum()))) for name, hit in hits.items()}
    made = imitate(case, written, "ids without a row")
    finding = Finding(
        code=code,
        family="preprocessing",
        severity=Severity.CRITICAL if share > CRITICAL_SHARE else Severity.WARNING,
        title="Ids without a row in the model's embedding",
        summary=f"{int(rows.sum())} of {len(rows)} validation rows hold ids for which the model has no embedding "
        f"({_listed(found, ids)}). TensorFlow refuses such ids on a CPU and looks up zeros on a GPU; "
        f"Keras counts negative ones from the end of the table. When the same share of training rows is given these "
        f"ids, {case.scorer.title} goes from {made.before:.2f} to {made.after:.2f}.",
        effect=Effect(name="share_of_rows_with_ids_without_a_row", estimate=share, limit=0.0),
        n=len(rows),
        affected=Affected(
            columns=[one.column for one in found],
            rows=[int(i) for i in case.mended.index[rows][:MAX_ROWS_NAMED]],
            share_of_rows=share,
        ),
        evidence={
            "ids": {
                one.column: {
                    "table_rows": one.table_rows,
                    "lowest": one.lowest,
                    "highest": one.highest,
                    "rows": int(one.rows.sum()),
                    "examples": [float(value) for value in np.unique(ids[one.column])[:MAX_LISTED]],
                }
                for one in found[:MAX_LISTED]
            }
        },
        remedy=_remedy(case, found),
    )
    named = ", ".join(one.column for one in found[:3])
    proof = made.confirmation(f"write the ids without a row of {named} into as many training rows")
    return CheckResult(Outcome.FAIL, finding=finding, confirmation=proof, recovered=made.explained())


def _listed(found: Sequence[IdsOutOfRange], ids: Mapping[str, Array]) -> str:
    parts = [
        f"{_range(ids[one.column])} in {one.column}, whose table has rows for 0 to {one.table_rows - 1}"
        for one in found
    ]
    return first_of(parts, separator="; ")


def _range(ids: Array) -> str:
    low, high = float(ids.min()), float(ids.max())
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _remedy(case: Case, found: Sequence[IdsOutOfRange]) -> Remedy:
    is_table = case.space.layout == "table"
    keys = {one.column if is_table else case.space.units.index(one.column): one.table_rows for one in found}
    of = "x[name]" if is_table else "x[:, name]"
    head = "import numpy as np\n" + ("import pandas as pd\n" if is_table else "")
    kind = "pd.DataFrame" if is_table else "np.ndarray"
    return Remedy(
        text="Encode with the encoder that was fitted for training, and give ids that are new since then the id that "
        "training reserved for unknown values; best with a lookup layer inside the model. The code below names the "
        "rows that have none.",
        code=f"{head}\n"
        + constant("TABLE_ROWS", keys, f"{'column' if is_table else 'position'}: rows of the embedding")
        + f"def without_a_row(x: {kind}) -> np.ndarray:\n"
        "    bad = np.zeros(len(x), dtype=bool)\n"
        "    for name, rows in TABLE_ROWS.items():\n"
        f"        ids = np.asarray({of})\n"
        "        bad |= (ids < 0) | (ids >= rows)\n"
        "    return np.flatnonzero(bad)\n",
    )
