"""The same entities stand in both splits.

What it measures: with data.group named, the share of validation rows whose group (patient, user, device) stands in
    the training data, over all rows and exactly; and the metric on rows of seen and of unseen groups, with a bootstrap
    interval of the difference over whole groups. Without data.group, columns that look like identifiers are tried,
    and mentioned where rows of seen values score materially better.
Why it matters: rows of one entity resemble each other. A model that has seen the entity is asked for what it knows
    already, and the metric promises what it will not do for the next entity.
When it is inconclusive: no row names its group; the difference, when fewer than 20 rows are of seen or of unseen
    groups.
How to fix: deal whole groups to one split or the other, in cross-validation too.
Reference: Kapoor & Narayanan, 2023, https://doi.org/10.1016/j.patter.2023.100804; Saeb et al., 2017,
    https://doi.org/10.1093/gigascience/gix019
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd
from pydantic import JsonValue

from audits.artefacts import Array
from audits.evidence.case import Case, Subject
from audits.evidence.entities import NO_ENTITY, entity_codes
from audits.evidence.scoring import quantile_interval
from audits.results import CheckResult
from audits.statistics.intervals import wilson
from schemas.limits.preprocessing import GroupLeakage
from schemas.report import Affected, Confirmation, Effect, Estimate, Finding, Outcome, Remedy, Severity

CODE = "preprocessing.group_leakage"
TITLE = "The same groups stand in both splits"
MIN_ROWS = 20
MAX_CANDIDATES = 20


def group_leakage(case: Case) -> CheckResult:
    """Look every group of the validation rows up among those of the training rows."""
    limits = cast(GroupLeakage, case.limits[CODE])
    if "group" not in case.train.roles or "group" not in case.validation.roles:
        return _undeclared(case, limits)
    column = case.request.data.name_of("group") or "group"
    shared = _Shared.of(case.train.roles["group"], case.validation.roles["group"])
    if not shared.known.any() or not shared.train_groups:
        return CheckResult.inconclusive(f"no row names its {column}")
    if shared.share <= 0:
        return CheckResult.passed(smallest=limits.min_share, margin=limits.min_share)
    contrast = _contrast(case, shared.seen, shared.codes)
    quiet = shared.quiet(limits)
    if quiet is None:
        critical = contrast is not None and contrast.low > limits.min_inflation
        severity = Severity.CRITICAL if critical else Severity.WARNING
    else:
        severity = Severity.INFO
    summary = (
        f"{shared.share:.0%} of the validation rows are of a {column} that stands in the training data too "
        f"({shared.common} of the {shared.validation_groups} values of {column!r} in the validation data)."
    )
    finding = Finding(
        code=CODE,
        family="preprocessing",
        severity=severity,
        title=TITLE,
        summary=summary,
        effect=Effect(
            name="share_of_validation_rows_of_seen_groups",
            estimate=shared.share,
            interval=wilson(int(shared.seen.sum()), int(shared.known.sum())),
            limit=limits.min_share,
        ),
        n=case.validation.n,
        affected=Affected(
            columns=[column], rows=[int(i) for i in np.flatnonzero(shared.seen)[:100]], share_of_rows=shared.share
        ),
        evidence={
            "groups": {
                "training": shared.train_groups,
                "validation": shared.validation_groups,
                "both": shared.common,
            },
            "rows_without_group": int((~shared.known).sum()),
            "seen_against_unseen": None if contrast is None else contrast.as_json(case),
        },
        remedy=_remedy(case, column),
    )
    loud = severity is not Severity.INFO
    return CheckResult(
        Outcome.FAIL if loud else Outcome.PASS,
        quiet,
        finding=finding,
        confirmation=_confirmation(case, shared, contrast, column) if loud else None,
        explanation=summary + _sentence(case, contrast),
        ranks=loud,
    )


@dataclass(frozen=True)
class _Shared:
    """Which validation rows are of a group that stands in the training data.

    Attributes:
        codes: (rows,) groups of the validation rows.
        known: (rows,) whether the row names its group.
        seen: (rows,) whether that group has training rows.
        restarted: whether both splits number their rows from the same start, so that equal numbers mean nothing.
    """

    codes: Array
    known: Array
    seen: Array
    train_groups: int
    validation_groups: int
    common: int
    restarted: bool

    @classmethod
    def of(cls, train: Array, validation: Array) -> "_Shared":
        ours, theirs = entity_codes(train, validation)
        known = theirs != NO_ENTITY
        groups = np.unique(ours[ours != NO_ENTITY]), np.unique(theirs[known])
        common = int(np.isin(groups[1], groups[0]).sum())
        restarted = _counts_rows(train) and _counts_rows(validation)
        return cls(theirs, known, np.isin(theirs, groups[0]) & known, len(groups[0]), len(groups[1]), common, restarted)

    @property
    def share(self) -> float:
        """Of the rows that name their group."""
        return float(self.seen.sum() / max(1, self.known.sum()))

    def quiet(self, limits: GroupLeakage) -> str | None:
        """Why equal groups are only worth a mention, or None."""
        if self.restarted:
            return "both splits number their rows one by one: equal numbers are not the same entity"
        if max(self.train_groups, self.validation_groups) < limits.min_groups:
            return (
                f"{max(self.train_groups, self.validation_groups)} groups: categories that every split has, no entities"
            )
        if self.share <= limits.min_share:
            return f"no more than {limits.min_share:.0%} of the validation rows"
        return None


def _counts_rows(values: Array) -> bool:
    """Whether a column is 0, 1, 2, ... or 1, 2, 3, ... in some order."""
    if values.dtype.kind not in "iuf" or not len(values) or not np.isfinite(values).all():
        return False
    ordered = np.sort(values)
    return bool(ordered[0] in (0, 1) and (np.diff(ordered) == 1).all())


@dataclass(frozen=True)
class _Contrast:
    """The metric on rows of seen groups minus that on rows of unseen ones."""

    difference: Estimate
    seen: float
    unseen: float
    n_unseen: int

    @property
    def low(self) -> float:
        return cast("tuple[float, float]", self.difference.interval)[0]

    def as_json(self, case: Case) -> dict[str, JsonValue]:
        return {
            "metric": case.scorer.metric,
            "seen": self.seen,
            "unseen": self.unseen,
            "difference": self.difference.estimate,
            "interval": list(cast("tuple[float, float]", self.difference.interval)),
            "unseen_rows": self.n_unseen,
        }


def _contrast(case: Case, seen: Array, codes: Array, confidence: float = 0.95) -> _Contrast | None:
    """None where one side has too few rows, or not every class."""
    subject = case.mended
    marked, groups = seen[subject.index], codes[subject.index]
    sides = [subject.at(marked), subject.at(~marked)]
    if any(not _can_be_scored(case, subject, side) for side in sides):
        return None
    # a row without a group is a group of its own
    alone = groups == NO_ENTITY
    groups = np.where(alone, groups.max() + 1 + np.arange(len(groups)), groups)

    def difference(weights: Array, y: Array, a: Array, of_seen: Array) -> Array:
        return case.scorer.score_answers(y, a, weights * of_seen) - case.scorer.score_answers(y, a, weights * ~of_seen)

    columns = (subject.labels, case.scorer.answers(subject.predictions), marked)
    draws = case.scorer.resample(columns, difference, case.rng("seen groups"), groups)
    scores = [case.score(side) for side in sides]
    interval = quantile_interval(draws, confidence)
    estimate = Estimate(estimate=scores[0] - scores[1], interval=interval, n=len(subject))
    return _Contrast(estimate, scores[0], scores[1], len(sides[1])) if np.isfinite(interval).all() else None


def _can_be_scored(case: Case, whole: Subject, side: Subject) -> bool:
    if len(side) < MIN_ROWS:
        return False
    return case.is_regression or len(np.unique(side.labels)) == len(np.unique(whole.labels))


def _confirmation(case: Case, shared: _Shared, contrast: _Contrast | None, column: str) -> Confirmation:
    """That the groups are the same is certain; what is tested is whether the metric falls without them."""
    if contrast is None:
        return Confirmation(
            confirmed=True,
            intervention=f"none is needed: every {column} was looked up among the training rows. A split by {column} "
            "has no such rows; too few rows of unseen groups are left to say what the metric is on them",
            metric="share_of_validation_rows_of_seen_groups",
            higher_is_better=False,
            before=shared.share,
            after=0.0,
            n=int(shared.known.sum()),
        )
    before = case.score(case.mended)
    low, high = cast("tuple[float, float]", contrast.difference.interval)
    return Confirmation(
        confirmed=True,
        intervention=f"leave out the rows whose {column} was trained on ({contrast.n_unseen} validation rows remain)",
        metric=case.scorer.metric,
        before=before,
        after=contrast.unseen,
        gain_interval=(-high, -low),
        n=len(case.mended),
    )


def _sentence(case: Case, contrast: _Contrast | None) -> str:
    if contrast is None:
        return " Too few rows of unseen groups are left to say what the metric is on them."
    low, high = cast("tuple[float, float]", contrast.difference.interval)
    return (
        f" On rows of seen groups {case.scorer.title} is {contrast.seen:.2f}, on the {contrast.n_unseen} others "
        f"{contrast.unseen:.2f} (difference {low:+.3f} to {high:+.3f})."
    )


def _undeclared(case: Case, limits: GroupLeakage) -> CheckResult:
    """Columns that repeat like identifiers; mentioned only where seen values score better than unseen ones."""
    reason = "data.group names no column"
    if case.space.layout != "table":
        return CheckResult.not_applicable(reason)
    candidates = _candidates(case)
    for name, (seen, codes) in candidates.items():
        contrast = _contrast(case, seen, codes, 1 - 0.05 / len(candidates))
        if contrast is None or contrast.low <= limits.min_inflation:
            continue
        share = float(seen[case.mended.index].mean())
        finding = Finding(
            code=CODE,
            family="preprocessing",
            severity=Severity.INFO,
            title="A column may name entities that stand in both splits",
            summary=f"{share:.0%} of the validation rows have a {name} that stands in the training data; they score "
            f"{contrast.seen:.2f}, the others {contrast.unseen:.2f} ({case.scorer.title}). If {name} names what "
            "the rows are about, split by it.",
            effect=Effect(
                name="metric_of_seen_minus_unseen",
                estimate=cast(float, contrast.difference.estimate),
                interval=contrast.difference.interval,
                limit=limits.min_inflation,
            ),
            n=len(case.mended),
            affected=Affected(columns=[name], share_of_rows=share),
            evidence={"seen_against_unseen": contrast.as_json(case)},
            remedy=_remedy(case, name),
        )
        return CheckResult(Outcome.PASS, reason + "; observed without it", finding=finding, ranks=False)
    return CheckResult.not_applicable(reason)


def _candidates(case: Case) -> dict[str, tuple[Array, Array]]:
    """Name -> whether each validation row's value was seen, and its code: of text and of whole numbers that repeat."""
    ours, theirs = cast("pd.DataFrame", case.train.sample.rows), cast("pd.DataFrame", case.validation.sample.rows)
    found: dict[str, tuple[Array, Array]] = {}
    for name in [*case.space.texts, *case.space.units]:
        values = ours[name].to_numpy()
        if values.dtype.kind not in "iuO" and not _whole(values):
            continue
        distinct = ours[name].nunique()
        if not max(MIN_ROWS, len(ours) / 50) <= distinct <= len(ours) / 2 or len(found) >= MAX_CANDIDATES:
            continue
        codes = entity_codes(values, theirs[name].to_numpy())
        seen, code = np.zeros(case.validation.n, dtype=bool), np.full(case.validation.n, NO_ENTITY)
        at = case.validation.sample.index
        seen[at], code[at] = np.isin(codes[1], codes[0]) & (codes[1] != NO_ENTITY), codes[1]
        found[name] = seen, code
    return found


def _whole(values: Array) -> bool:
    return values.dtype.kind == "f" and bool(np.isfinite(values).all() and (np.floor(values) == values).all())


def _remedy(case: Case, column: str) -> Remedy:
    if case.space.layout != "table":
        return Remedy(text="Split by group: deal whole groups to one split or the other, and train again.")
    return Remedy(
        text=f"Deal every {column} to one split alone, train again, and use the same groups in cross-validation. Until "
        "then, the metric speaks of known groups only.",
        code=(
            "import pandas as pd\n"
            "from sklearn.model_selection import GroupShuffleSplit\n\n"
            f"GROUP = {column!r}\n\n" + "def split_by_group(table: pd.DataFrame, share: float = 0.25, seed: int = 0):\n"
            "    splitter = GroupShuffleSplit(1, test_size=share, random_state=seed)\n"
            "    train, validation = next(splitter.split(table, groups=table[GROUP]))\n"
            "    return table.iloc[train], table.iloc[validation]\n"
        ),
    )
