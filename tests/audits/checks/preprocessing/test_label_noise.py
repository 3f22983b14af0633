"""preprocessing.label_noise: labels that are wrong, in one of the splits."""

from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from audits.checks.preprocessing.label_noise import CODE
from audits.evidence.disagreement import label_margin, suspicious
from audits.statistics.metrics import roc_auc
from schemas.report import Outcome, Severity
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import Fault, Part, case, faults_found, permuted_labels, result_of, scaled

EASY = {"signal": 8.0, "n_train": 300, "n_validation": 200, "columns": 4}


def mislabelled(share: float, classes: int = 2) -> Fault:
    """A share of the labels becomes another class; of a quantity, it gets a gross error."""

    def spoil(part: Part, train: Part, rng: np.random.Generator) -> Part:
        hit = wrong(len(part), share)
        if part.y.dtype.kind == "f":
            return replace(part, y=part.y + hit * rng.normal(0, 5 * part.y.std(), len(part)))
        return replace(part, y=np.where(hit, (part.y + rng.integers(1, classes, len(part))) % classes, part.y))

    return spoil


def wrong(n: int, share: float) -> np.ndarray:
    return np.random.default_rng(5).random(n) < share


CLASSES = {"binary": 2, "multiclass": 3, "regression": 0}


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_fires_on_training_labels_that_are_wrong(task: str):
    result = result_of(CODE, case(task, train_fault=mislabelled(0.25, CLASSES[task]), **EASY))

    assert result.outcome is Outcome.FAIL
    assert result.finding.affected.split == "train"
    assert result.finding.affected.rows == [row["row"] for row in result.finding.evidence["rows"]]
    assert result.finding.effect.interval[0] < 0.25
    assert result.confirmation.confirmed
    assert result.recovered is None


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_fires_on_validation_labels_that_are_wrong(task: str):
    result = result_of(CODE, case(task, fault=mislabelled(0.3, CLASSES[task]), **EASY))

    assert result.outcome is Outcome.FAIL
    assert result.finding.affected.split == "validation"
    assert result.confirmation.confirmed
    assert result.confirmation.after > result.confirmation.before + 0.1
    assert result.recovered.estimate > 0.1


def shuffled(share: float) -> Fault:
    """A share of the rows exchange their labels."""

    def spoil(part: Part, train: Part, rng: np.random.Generator) -> Part:
        hit, labels = np.flatnonzero(wrong(len(part), share)), part.y.copy()
        labels[hit] = labels[rng.permutation(hit)]
        return replace(part, y=labels)

    return spoil


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("split", ["train", "validation"])
def test_fires_on_labels_that_were_shuffled(task: str, split: str):
    """A learner fitted on them learns nothing, so that it contradicts neither split."""
    fault = {"fault" if split == "validation" else "train_fault": shuffled(1.0)}

    result = result_of(CODE, case(task, **fault, **EASY))

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.CRITICAL
    assert result.finding.evidence["split"] == split
    assert "do not belong to their rows" in result.finding.title
    assert result.confirmation.by_exclusion


def test_fires_on_quantities_of_which_half_were_shuffled():
    result = result_of(CODE, case("regression", fault=shuffled(0.5), signal=8.0, n_train=600, n_validation=400))

    assert result.finding.evidence["split"] == "validation"
    assert result.finding.effect.estimate == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("rows", [1, -2])
def test_labels_a_few_rows_away_are_moved_back(task: str, rows: int):
    result = result_of(CODE, case(task, fault=lambda part, *_: replace(part, y=np.roll(part.y, rows)), **EASY))

    proof = result.confirmation
    assert proof.confirmed
    assert not proof.by_exclusion
    assert f"{abs(rows)} row" in proof.intervention
    assert ("down" in proof.intervention) is (rows > 0)
    assert proof.after == pytest.approx(case(task, **EASY).validation_score[0], abs=0.05)
    assert proof.placebo_gain < result.recovered.estimate


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_stays_silent_where_columns_were_shuffled_and_others_still_teach(task: str):
    def spoil(part: Part, train: Part, rng: np.random.Generator) -> Part:
        values = part.numbers
        values[:, :2] = rng.permutation(values[:, :2])
        return part.with_numbers(values)

    assert result_of(CODE, case(task, fault=spoil, **EASY)).finding is None


def test_estimates_the_share_of_wrong_labels():
    estimates = [
        result_of(CODE, case(train_fault=mislabelled(0.25), seed=seed, **EASY)).finding.effect.estimate
        for seed in range(2)
    ]

    assert np.mean(estimates) == pytest.approx(wrong(300, 0.25).mean(), abs=0.06)


def test_names_the_wrong_rows_first():
    one = case(train_fault=mislabelled(0.25), **EASY)
    truth = wrong(300, 0.25)

    rows = result_of(CODE, one).finding.evidence["rows"]

    named = [row["row"] for row in rows]
    assert truth[named].mean() > 0.8
    assert truth[named[:20]].mean() > 0.94
    assert all(row["given"] != row["suggested"] for row in rows)


def test_the_ranking_finds_what_confident_learning_finds():
    """Against the normalised margin of Northcutt et al., written out here, on the same held-out probabilities."""
    one = case("multiclass", train_fault=mislabelled(0.25, 3), **EASY)
    matrix = one.control
    labels, p = matrix.train.labels, matrix.forward.home_outputs
    truth = wrong(300, 0.25)[matrix.train.index]
    reference = np.array([row[k] - max(np.delete(row, k)) for row, k in zip(p, labels, strict=True)])

    np.testing.assert_allclose(label_margin(labels, p), reference)
    assert roc_auc(-reference, truth) > 0.9
    ranked = suspicious(one, matrix, "train", "own").order
    np.testing.assert_array_equal(ranked, np.argsort(reference, kind="stable")[: len(ranked)])
    assert (reference[ranked] < 0).all()


@pytest.mark.parametrize("signal", [0.5, 1.5, 3.0])
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_stays_silent_on_classes_that_overlap(task: str, signal: float):
    assert result_of(CODE, case(task, signal=signal, n_train=200, n_validation=120)).finding is None


def test_stays_silent_on_mistakes_that_both_splits_share():
    fault = mislabelled(0.03)

    assert result_of(CODE, case(train_fault=fault, fault=fault, **EASY)).finding is None


@pytest.mark.parametrize("fault", [scaled(3.0), permuted_labels(1, 0)])
def test_stays_silent_where_rows_or_labels_are_otherwise_broken(fault: Fault):
    """The two learners then disagree about which split it is."""
    assert result_of(CODE, case(fault=fault, **EASY)).finding is None


def test_stays_silent_where_the_validation_rows_are_the_hard_ones():
    def hard(part: Part, train: Part, rng: np.random.Generator) -> Part:
        z = (part.numbers - train.numbers.mean(axis=0)) / train.numbers.std(axis=0)
        return part.at(np.argsort(np.abs(z).sum(axis=1))[:200])

    assert result_of(CODE, case(signal=3.0, n_train=400, n_validation=500, fault=hard)).finding is None


def test_stays_silent_on_coin_tosses():
    assert result_of(CODE, case(signal=0.0)).outcome is Outcome.INCONCLUSIVE


def test_inconclusive_on_few_rows():
    assert result_of(CODE, case(n_validation=20)).outcome is Outcome.INCONCLUSIVE
    assert result_of(CODE, case(n_train=30)).outcome is Outcome.INCONCLUSIVE


def test_many_wrong_labels_are_critical():
    result = result_of(CODE, case(train_fault=mislabelled(0.35), **EASY))

    assert result.finding.severity is Severity.CRITICAL
    assert faults_found({CODE: result}) == {CODE}


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_the_remedys_code_ranks_the_rows(task: str):
    one = case(task, train_fault=mislabelled(0.25, CLASSES[task]), **EASY)
    code = defined_by(remedy_of(result_of(CODE, one)))
    x, y = one.train.sample.rows.to_numpy(), one.train.labels

    with threadpool_limits(1):
        order = code["most_suspicious_first"](x, y)

    truth = wrong(300, 0.25)
    assert truth[order[:20]].mean() > 0.8
    assert truth[code["SUSPICIOUS_TRAINING_ROWS"]].mean() > 0.8
