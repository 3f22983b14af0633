"""How a reported number is read, and how its origin is searched for."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import f1_score

from audits.evidence.case import Case
from audits.evidence.reported.forensics import (
    BATCH,
    MAX_CHANCE_HITS,
    UNUSUAL,
    USUAL,
    Claim,
    Match,
    Search,
    interval,
    judged,
    read_claim,
    search,
    stretched,
)
from audits.evidence.reported.table import METRICS, Judged
from audits.evidence.thresholds import best_f1_threshold
from audits.repairs.metric_code import measuring_code
from schemas.request import ReportedMetric
from tests.factories import Task, case, copied, memoriser, miscut


def claim(name: str, value: float, task: Task = "binary", split: Any = "validation") -> Claim:
    read = read_claim(case(task), ReportedMetric(name=name, value=value, split=split))
    assert read is not None
    return read


@pytest.mark.parametrize(
    ("name", "value", "meant", "tolerance"),
    [
        ("accuracy", 0.86, 0.86, 0.005),
        ("accuracy", 0.9, 0.9, 0.005),
        ("accuracy", 0.8612, 0.8612, 0.00005),
        ("accuracy", 1.0, 1.0, 0.005),
        ("accuracy", 86, 0.86, 0.005),
        ("accuracy", 86.4, 0.864, 0.0005),
        ("mcc", -0.2, -0.2, 0.005),
        ("log_loss", 1.3, 1.3, 0.05),
    ],
)
def test_rounding_and_per_cent_are_understood(name: str, value: float, meant: float, tolerance: float):
    read = claim(name, value)

    assert read.value == pytest.approx(meant)
    assert read.tolerance == pytest.approx(tolerance)


@pytest.mark.parametrize(("value", "meant"), [(-3.2, -3.2), (-40.0, -40.0), (0.85, 0.85), (85, 0.85)])
def test_an_r2_below_minus_one_is_no_per_cent(value: float, meant: float):
    assert claim("r2", value, task="regression").value == pytest.approx(meant)


def test_a_prefix_says_of_which_split_the_number_is():
    assert claim("train_accuracy", 0.9).split == "train"
    assert claim("val_accuracy", 0.9, split="train").split == "validation"
    assert claim("accuracy", 0.9, split="train").split == "train"


def test_a_scorer_that_turns_errors_around_is_read_back():
    assert claim("neg_mean_squared_error", -4.5, task="regression").value == 4.5


@pytest.mark.parametrize(("name", "value"), [("charm", 0.9), ("accuracy", None), ("r2", 0.9)])
def test_what_has_no_number_or_no_meaning_is_no_claim(name: str, value: float | None):
    assert read_claim(case(), ReportedMetric(name=name, value=value)) is None


def origin(one: Case, name: str, value: float, split: Any = "validation") -> Search:
    read = read_claim(one, ReportedMetric(name=name, value=value, split=split))
    assert read is not None
    return search(one, read)


WORLD: dict[str, Any] = {"model": memoriser, "signal": 1.0, "n_validation": 310, "prevalence": 0.3}


def test_the_mean_over_batches_is_recognised():
    one = case(**WORLD)
    rows = judged(one, one.validation)
    batches = [slice(first, first + BATCH) for first in range(0, len(rows), BATCH)]
    value = float(np.mean([f1_score(rows.labels[b], rows.answers[b]) for b in batches]))

    found = origin(one, "f1", round(value, 5))

    assert found.proven is not None
    assert "mean over batches of 32" in found.proven.text


def test_classes_taken_for_each_other_are_recognised():
    one = case(**WORLD)
    rows = judged(one, one.validation)

    found = origin(one, "roc_auc", round(1 - METRICS["roc_auc"](rows), 5))

    assert found.proven is not None
    assert "taken for each other" in found.proven.text


def test_both_splits_together_are_recognised():
    one = case(**WORLD)
    both = judged(one, one.train).joined(judged(one, one.validation))

    found = origin(one, "accuracy", round(METRICS["accuracy"](both), 5))

    assert found.proven is not None
    assert "together" in found.proven.text


def test_another_metric_on_the_wrong_split_takes_two_mistakes():
    one = case(**WORLD | {"model": miscut(-0.5)})
    value = METRICS["mcc"](judged(one, one.train))

    found = origin(one, "accuracy", round(value, 6))

    assert found.proven is not None
    assert found.proven.cost == USUAL + UNUSUAL
    assert found.proven.text == "MCC on the training rows"


def test_copies_that_were_left_out_are_recognised():
    one = case(**WORLD, fault=copied(0.5))
    value = METRICS["accuracy"](judged(one, one.mended.at(one.decontaminated)))

    found = origin(one, "accuracy", round(value, 6))

    assert found.matches[0].text == "accuracy on the validation rows that are no copies of training rows"


def test_several_explanations_prove_none():
    matches = tuple(Match(text, 0.9, USUAL, "accuracy") for text in ("one", "another"))

    assert Search(matches, 0.0).proven is None
    assert Search(matches[:1], 0.0).proven is matches[0]


def test_a_hit_that_chance_would_make_proves_nothing():
    match = (Match("one", 0.9, USUAL, "accuracy"),)

    assert Search(match, MAX_CHANCE_HITS + 0.01).proven is None
    assert Search(match, MAX_CHANCE_HITS - 0.01).proven is not None
    assert not Search(match, MAX_CHANCE_HITS - 0.01).certain


def test_numbers_drawn_at_random_are_seldom_explained():
    """Four digits anywhere between the metrics of such a model: at most one in ten hits something by chance."""
    one = case(**WORLD)
    values = np.random.default_rng(0).uniform(0.3, 0.9, 60)

    certain = sum(origin(one, "accuracy", round(float(v), 4)).certain for v in values)
    proven = sum(origin(one, "accuracy", round(float(v), 4)).proven is not None for v in values)

    assert certain <= 2
    assert proven <= 6


def test_the_interval_covers_what_other_rows_give():
    """95 of 100 samples of the same model hold the value of all of them, within simulation error."""
    rng = np.random.default_rng(1)

    def sample(n: int) -> Judged:
        p = rng.beta(1, 1, n)
        return Judged((rng.random(n) < p).astype(int), (p > 0.5).astype(int), np.column_stack([1 - p, p]), 2)

    everyone = sample(200_000)
    for name in ("accuracy", "roc_auc", "f1_weighted", "log_loss"):
        truth = METRICS[name](everyone)
        held = 0
        for _ in range(100):
            low, high = interval(METRICS[name], sample(200), rng)
            held += low <= truth <= high
        assert held >= 88, name


def test_a_perfect_share_has_a_width():
    rows = Judged(np.arange(40) % 2, np.arange(40) % 2, None, 2)

    low, high = interval(METRICS["accuracy"], rows, np.random.default_rng(0))

    assert low < 0.95
    assert high == 1.0


def test_an_interval_of_groups_is_wider():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 20)
    right = np.repeat(rng.random(20) < 0.6, 20)
    labels = rng.integers(0, 2, 400)
    rows = Judged(labels, np.where(right, labels, 1 - labels), None, 2)

    alone = interval(METRICS["accuracy"], rows, rng)
    together = interval(METRICS["accuracy"], rows, rng, groups)

    assert together[1] - together[0] > 2 * (alone[1] - alone[0])


def test_the_interval_of_several_claims_is_wider():
    assert stretched(0.8, (0.7, 0.85), 1) == pytest.approx((0.7, 0.85))

    low, high = stretched(0.8, (0.7, 0.85), 5)

    wider = norm.isf(0.05 / 2 / 5) / norm.isf(0.05 / 2)
    assert (0.8 - low, high - 0.8) == pytest.approx((0.1 * wider, 0.05 * wider))


def test_the_f1_threshold_is_the_best_of_all():
    rng = np.random.default_rng(0)
    labels = (rng.random(200) < 0.2).astype(int)
    scores = np.clip(0.3 * labels + rng.random(200) * 0.6, 0, 1)

    best = f1_score(labels, scores >= best_f1_threshold(labels, scores))

    assert best == pytest.approx(max(f1_score(labels, scores >= cut) for cut in scores))


@pytest.mark.parametrize("name", sorted(METRICS))
def test_every_metric_has_code_or_another_stands_in(name: str):
    names: dict[str, Any] = {}
    exec(compile(measuring_code([name]), "<code>", "exec"), names)

    assert callable(names["measured"])
