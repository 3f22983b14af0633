"""How much of what the proven repairs bring back together is due to each.

What a repair gains depends on what else is repaired: behind a wrong scale, a wrong column order costs nothing more. The
Shapley value counts every repair at its mean gain over all orders in which the repairs can be made; the values add up
to what all of them gain together.

Reference: Shapley, 1953; for performance shifts Zhang et al., 2023, https://arxiv.org/abs/2210.10769
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import factorial

import numpy as np

from audits.artefacts import Array
from audits.evidence.case import Case, Subject
from audits.evidence.scoring import quantile_interval
from audits.results import CheckResult
from schemas.report import Estimate

# Every combination of the repairs runs the model once; with many repairs, on fewer rows.
FEW_REPAIRS = 3
MAX_ROWS = 4_000

Repair = Callable[[Subject], Subject]


@dataclass(frozen=True)
class Attribution:
    """What each proven repair contributes to the primary metric.

    Attributes:
        values: code -> Shapley value, with its paired bootstrap interval; the sum, where a code has several repairs.
        alone: code -> gain of this code's repairs alone.
        together: gain of all repairs.
        interaction: `together` less the sum of `alone`: above 0 where repairs need each other, below where they
            repair the same loss. Exactly 0 for a single repair.
    """

    values: Mapping[str, Estimate]
    alone: Mapping[str, float]
    together: Estimate
    interaction: Estimate

    def interacts(self, gap: float, share: float = 0.25) -> bool:
        """Whether the interaction is certain and exceeds this share of the gap."""
        low, high = self.interaction.interval or (0.0, 0.0)
        return abs(self.interaction.estimate or 0.0) > share * gap and (low > 0 or high < 0)


def attribute(case: Case, results: Mapping[str, CheckResult]) -> Attribution | None:
    """The contributions of all proven repairs of validation rows, in the order in which they were proven; None without
    any.

    Repairs of the data come from the trials; repairs of the outputs, which come last in every combination, from the
    results. A code may have two: one that the model bore witness to, and one of what that left.
    """
    proven = [trial.suspicion for trial in case.proven]
    repairs: list[tuple[str, Repair]] = [(one.code, one.replay or one.apply) for one in proven]
    repairs += [(code, r.repair) for code, r in results.items() if r.repair is not None]
    if not repairs:
        return None
    subject = case.validation.sample
    if len(repairs) > FEW_REPAIRS and len(subject) > MAX_ROWS:
        subject = subject.at(np.sort(case.rng("attribution rows").choice(len(subject), MAX_ROWS, replace=False)))
    states = combinations(subject, [repair for _, repair in repairs])
    columns = tuple(part for state in states for part in (state.labels, case.scorer.answers(state.predictions)))

    def scores(weights: Array | None, *of: Array) -> Array:
        pairs = zip(of[::2], of[1::2], strict=True)
        return np.stack([np.asarray(case.scorer.score_answers(y, a, weights)) for y, a in pairs], axis=-1)

    draws = case.scorer.resample(columns, scores, case.rng("attribution"), subject.groups)
    return _attribution([code for code, _ in repairs], scores(None, *columns), draws, len(subject))


def combinations(subject: Subject, repairs: Sequence[Repair]) -> list[Subject]:
    """(2^repairs,) the subject after every combination: repair j is made in entry i when bit j of i is set."""
    states = [subject]
    for repair in repairs:
        states += [repair(state) for state in states]
    return states


def shapley_values(scores: Array) -> Array:
    """(..., repairs) Shapley values from (..., 2^repairs) scores, indexed as by `combinations`."""
    scores = np.asarray(scores, dtype=float)
    players = scores.shape[-1].bit_length() - 1
    masks = np.arange(scores.shape[-1])
    sizes = np.array([int(mask).bit_count() for mask in masks])
    values = np.empty((*scores.shape[:-1], players))
    for j in range(players):
        without = masks[(masks >> j) & 1 == 0]
        weights = np.array([factorial(s) * factorial(players - s - 1) for s in sizes[without]]) / factorial(players)
        values[..., j] = (scores[..., without | (1 << j)] - scores[..., without]) @ weights
    return values


def _attribution(codes: list[str], scores: Array, draws: Array, n: int) -> Attribution:
    """`codes` names the repair of each bit."""
    places = {code: [j for j, other in enumerate(codes) if other == code] for code in codes}
    singles = np.array([sum(1 << j for j in bits) for bits in places.values()])

    def interaction(of: Array) -> Array:
        base = of[..., 0]
        return np.asarray(of[..., -1] - base - (of[..., singles] - base[..., None]).sum(axis=-1))

    values, value_draws = shapley_values(scores), shapley_values(draws)
    return Attribution(
        values={
            code: _estimate(values[bits].sum(), value_draws[:, bits].sum(axis=-1), n) for code, bits in places.items()
        },
        alone={code: float(scores[single] - scores[0]) for code, single in zip(places, singles, strict=True)},
        together=_estimate(scores[-1] - scores[0], draws[:, -1] - draws[:, 0], n),
        interaction=_estimate(interaction(scores), interaction(draws), n),
    )


def _estimate(point: Array, draws: Array, n: int) -> Estimate:
    return Estimate(estimate=float(point), interval=quantile_interval(draws), n=n)
