"""Columns of the validation data hold each other's values.

What it measures: which training column each validation column resembles, by its quantiles (over all rows and
    within the classes or label thirds) and by its correlations with the other columns; the assignment of least
    cost is found by the Hungarian method and refined by exchanges. It is suspect when it costs less than the
    given order by more than in every random halving of the training rows. Sequences of ids are looked at for padding
    that stands at the other end.
Why it matters: a model reads columns by position. A reordered file gives no error, only wrong answers.
When it is inconclusive: fewer than `min_rows` validation rows; more than `max_columns` columns are not searched.
How to fix: select the columns by name, in the training order, where the data reach the model; better, export a
    model with one named input per column.
Reference: Kuhn, 1955, https://doi.org/10.1002/nav.3800020109
"""

from dataclasses import replace
from typing import cast

import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

from audits.artefacts import Array, Rows
from audits.evidence.case import Case, Subject
from audits.evidence.features import concatenate, take
from audits.repairs.categories import padding
from audits.repairs.judgement import judge, trial_of
from audits.repairs.protocol import Suspicion
from audits.repairs.snippets import constant
from audits.results import CheckResult
from audits.statistics.assignment import hungarian
from schemas.limits.preprocessing import FeatureOrder
from schemas.report import Effect, Remedy

CODE = "preprocessing.feature_order"
QUANTILES = np.linspace(0.05, 0.95, 10)
FOLDS = 5
MAX_GROUPS = 10
MIN_GROUP_ROWS = 8
MAX_EXCHANGES = 500
# More rows sharpen a profile of ten quantiles no further.
MAX_PROFILE_ROWS = 2_000
# Of what the moved columns differ by where they stand. Between two columns that are all but the same, noise in one of
# them makes an exchange cheaper, and leaves it as unlike as it was.
MIN_EXPLAINED = 0.1


def feature_order(case: Case) -> CheckResult:
    """Judge the trial of reassigning the columns."""
    limits = cast(FeatureOrder, case.limits[CODE])
    n, columns = len(case.mended), len(case.space.units)
    if case.space.layout == "image":
        return CheckResult.not_applicable("pixels have a place, not a name")
    if columns < 2:
        return CheckResult.not_applicable("fewer than two numeric columns")
    if columns > limits.max_columns and trial_of(case, CODE) is None and padding.padded_end(case, case.mended) is None:
        return CheckResult.not_applicable(f"{columns} columns, {limits.max_columns} are searched at most")
    return judge(
        case,
        CODE,
        title="Columns hold each other's values in the validation data",
        summary="When we {intervention} and run the same model again, {metric} goes from {before} to {after}.",
        too_few=f"{n} of {limits.min_rows} validation rows" if n < limits.min_rows else None,
    )


def suspect(case: Case, reference: Subject, subject: Subject) -> Suspicion | None:
    """An order of the columns in which the validation data resemble the training data far better."""
    limits = cast(FeatureOrder, case.limits[CODE])
    ends = [padding.padded_end(case, s) for s in (reference, subject)]
    if ends[0] is not None and ends[1] is not None and len(subject) >= limits.min_rows:
        # positions of a sequence are no columns: only the padding can stand elsewhere
        return None if ends[0] == ends[1] else padding.suspicion(CODE, case, subject, ends[0])
    columns = len(case.space.units)
    searched = case.space.layout != "image" and 2 <= columns <= limits.max_columns
    if not searched or len(subject) < limits.min_rows:
        return None
    target, source = _Profile.of(case, reference), _Profile.of(case, subject)
    order = target.assign(source)
    moved = np.flatnonzero(order != np.arange(columns))
    if not len(moved):
        return None
    fall = target.cost(source, np.arange(columns)) - target.cost(source, order)
    by_chance = _largest_fall_by_chance(case, reference, len(subject), limits.splits, enough=fall)
    if fall <= by_chance or fall < MIN_EXPLAINED * target.misfit(source, moved):
        return None
    names = [case.space.units[i] for i in moved]

    def apply(faulty: Subject) -> Subject:
        return case.rerun(faulty, _reordered_out_of_fold(case, target, faulty))

    def placebo(faulty: Subject, rng: np.random.Generator) -> Subject:
        return replace(faulty, rows=case.space.permute_units(faulty.rows, _another_order(order, len(moved), rng)))

    return Suspicion(
        code=CODE,
        intervention=_sentence(case, order, moved),
        apply=apply,
        # of two columns there is no other order than the repair itself
        placebo=placebo if columns > 2 else None,
        replay=lambda faulty: case.rerun(faulty, case.space.permute_units(faulty.rows, order)),
        columns=tuple(names),
        effect=Effect(name="fall_of_assignment_cost", estimate=float(fall), limit=float(by_chance)),
        p_value=1 / (1 + limits.splits),
        evidence={"holds_the_values_of": {case.space.units[order[i]]: case.space.units[i] for i in moved}},
        remedy=_remedy(case, order),
    )


class _Profile:
    """What is known of every column without trusting its position.

    Attributes:
        quantiles: (columns, groups * quantiles), in units of the column's own reference deviation later on.
        correlations: (columns, columns) Spearman correlations.
        rows: behind them.
    """

    def __init__(self, quantiles: Array, correlations: Array, deviations: Array, rows: int) -> None:
        self.quantiles = quantiles
        self.correlations = correlations
        self.deviations = deviations
        self.rows = rows

    @classmethod
    def of(cls, case: Case, subject: Subject) -> "_Profile":
        values = case.space.matrix(subject.rows)
        values = np.where(np.isfinite(values), values, np.nan)
        parts = [_quantiles(values)]
        parts += [_quantiles(values[group]) for group in _label_groups(case, subject)]
        ranks = rankdata(np.where(np.isnan(values), np.inf, values), axis=0)
        spread = ranks.std(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            centred = (ranks - ranks.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        correlations = centred.T @ centred / len(ranks)
        deviations = np.nan_to_num(np.nanstd(values, axis=0)) if len(values) else np.zeros(values.shape[1])
        return cls(np.concatenate(parts, axis=1), correlations, deviations, len(values))

    def distances(self, other: "_Profile") -> Array:
        """(columns, columns): mean quantile distance of my column i and the other's j, in my deviations."""
        scale = np.where(self.deviations > 0, self.deviations, 1.0)
        shared = min(self.quantiles.shape[1], other.quantiles.shape[1])
        mine, others = self.quantiles[:, :shared], other.quantiles[:, :shared]
        rows = [cdist(mine[i : i + 1] / s, others / s, "cityblock")[0] for i, s in enumerate(scale)]
        return np.asarray(np.minimum(np.stack(rows) / shared, 10.0))

    def cost(self, other: "_Profile", order: Array) -> float:
        """How badly the other's columns, taken in `order`, resemble mine."""
        return _total(self.distances(other), self.correlations, other.correlations, order)

    def misfit(self, other: "_Profile", columns: Array) -> float:
        """What these columns of the other, where they stand, add to the cost."""
        apart = np.abs(self.correlations - other.correlations)[columns].sum() / len(self.correlations)
        return float(self.distances(other)[columns, columns].sum() + apart)

    def assign(self, other: "_Profile") -> Array:
        """(columns,) the other's column that belongs at each of my positions."""
        distances = self.distances(other)
        starts = (hungarian(distances), np.arange(len(distances)))
        candidates = [_exchanged(distances, self.correlations, other.correlations, start) for start in starts]
        return min(candidates, key=lambda o: _total(distances, self.correlations, other.correlations, o))


def _quantiles(values: Array) -> Array:
    """(columns, quantiles), NaN ignored; 0 for an empty column."""
    filled = values.copy()
    empty = np.isnan(filled).all(axis=0)
    filled[:, empty] = 0.0
    return np.asarray(np.nanquantile(filled, QUANTILES, axis=0).T)


def _label_groups(case: Case, subject: Subject) -> list[Array]:
    """Row masks of the classes, or of the thirds of a quantity; the same groups for every subject of a case."""
    if case.is_regression:
        edges = np.quantile(case.train.labels, [1 / 3, 2 / 3])
        which = np.searchsorted(edges, subject.labels)
        groups = [which == k for k in range(3)]
    else:
        groups = [subject.labels == k for k in range(min(case.labels.n_classes, MAX_GROUPS))]
    # a group that is too small to have quantiles stands for all rows, so that profiles keep their width
    return [g if g.sum() >= MIN_GROUP_ROWS else np.ones(len(subject), dtype=bool) for g in groups]


def _total(distances: Array, mine: Array, others: Array, order: Array) -> float:
    misfit = np.abs(mine - others[np.ix_(order, order)]).sum() / len(order)
    return float(distances[np.arange(len(order)), order].sum() + misfit)


def _exchanged(distances: Array, mine: Array, others: Array, order: Array) -> Array:
    """Exchange the pair that lowers the total cost most, until none does."""
    order = order.copy()
    columns = len(order)
    upper = np.triu_indices(columns, 1)
    for _ in range(MAX_EXCHANGES):
        changes = _exchange_changes(distances, mine, others, order)[upper]
        best = int(changes.argmin())
        if changes[best] >= -1e-9:
            break
        i, j = upper[0][best], upper[1][best]
        order[i], order[j] = order[j], order[i]
    return order


def _exchange_changes(distances: Array, mine: Array, others: Array, order: Array) -> Array:
    """(columns, columns) change of the total cost when positions i and j exchange their columns."""
    at = distances[:, order]
    own = np.diag(at)
    arranged = others[np.ix_(order, order)]
    # |mine[k, i] - arranged[k, j]| summed over k, less the two terms in which i and j meet each other
    misfit = cdist(mine.T, arranged.T, "cityblock")
    meeting = np.abs(1 - arranged) + np.abs(1 - mine) - np.abs(mine - arranged)
    stays = np.diag(misfit)
    exchanged = misfit + misfit.T - 2 * meeting - stays[:, None] - stays[None, :]
    return np.asarray(at + at.T - own[:, None] - own[None, :] + 2 * exchanged / len(order))


def _largest_fall_by_chance(case: Case, reference: Subject, rows: int, splits: int, *, enough: float) -> float:
    """The largest fall of the cost between random parts of the training rows, of the validation data's size.

    It stops looking once a fall is as large as `enough`: that order is then no news.
    """
    rng = case.rng("feature order")
    size = min(rows, len(reference) // 2, MAX_PROFILE_ROWS)
    largest = 0.0
    for _ in range(splits):
        drawn = rng.permutation(len(reference))
        one, other = (_Profile.of(case, reference.at(part)) for part in (drawn[size : 3 * size], drawn[:size]))
        order = one.assign(other)
        largest = max(largest, one.cost(other, np.arange(len(order))) - one.cost(other, order))
        if largest >= enough:
            break
    return largest


def _reordered_out_of_fold(case: Case, target: _Profile, faulty: Subject) -> Rows:
    """The rows with their columns put back, each fold by the order that the other folds give.

    The order is found with the help of the labels, so that it is judged on other rows than it was found on.
    """
    fold_of = case.rng("feature order folds").integers(0, FOLDS, len(faulty))
    parts, positions = [], []
    for fold in range(FOLDS):
        held = np.flatnonzero(fold_of == fold)
        if not len(held):
            continue
        order = target.assign(_Profile.of(case, faulty.at(np.flatnonzero(fold_of != fold))))
        parts.append(case.space.permute_units(take(faulty.rows, held), order))
        positions.append(held)
    back = np.argsort(np.concatenate(positions))
    return take(concatenate(parts), back)


def _another_order(order: Array, moved: int, rng: np.random.Generator) -> Array:
    """A random order that moves as many columns as the repair, none of them to where the repair moves it."""
    while True:
        chosen = rng.choice(len(order), moved, replace=False)
        other = np.arange(len(order))
        other[chosen] = np.roll(chosen, rng.integers(1, moved))
        if (other[chosen] != order[chosen]).all():
            return other


def _sentence(case: Case, order: Array, moved: Array) -> str:
    pairs = [f"{case.space.units[i]} from {case.space.units[order[i]]}" for i in moved[:3]]
    more = f" and {len(moved) - 3} more" if len(moved) > 3 else ""
    return f"put {len(moved)} columns back in their places ({', '.join(pairs)}{more})"


def _remedy(case: Case, order: Array) -> Remedy:
    names = case.space.units
    text = (
        "Select the columns by name and in the training order where the data are read. Look at how the "
        "validation file was joined or exported: its header does not describe its columns."
    )
    if case.space.layout != "table":
        code = (
            "import numpy as np\n\n"
            f"ORDER = {[int(i) for i in order]!r}  # the position in the file of each position of the model\n\n"
            "def put_back(x: np.ndarray) -> np.ndarray:\n"
            "    return x[:, ORDER]\n"
        )
        return Remedy(text=text, code=code)
    moved = {names[i]: names[order[i]] for i in range(len(names)) if order[i] != i}
    code = (
        "import pandas as pd\n\n"
        + constant("HOLDS", moved, "column: the column whose header its values stand under")
        + "def put_back(frame: pd.DataFrame) -> pd.DataFrame:\n"
        "    return frame.assign(**{c: frame[other].to_numpy() for c, other in HOLDS.items()})\n"
    )
    return Remedy(text=text, code=code)
