"""preprocessing.unshuffled: a file that is sorted by its label."""

import numpy as np
import pytest

from audits.checks.preprocessing.unshuffled import CODE
from schemas.report import Outcome, Severity
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import Part, case, result_of


def ordered(part: Part, train: Part, rng: np.random.Generator) -> Part:
    return part.at(np.argsort(part.y, kind="stable"))


def nearly_ordered(part: Part, train: Part, rng: np.random.Generator) -> Part:
    return part.at(np.argsort(part.y + rng.normal(0, 0.25 * part.y.std(), len(part))))


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("fault", [ordered, nearly_ordered])
def test_fires_on_a_sorted_file(task: str, fault):
    result = result_of(CODE, case(task, train_fault=fault))

    assert result.outcome is Outcome.PASS
    assert result.finding.severity is Severity.INFO
    assert result.finding.effect.estimate < result.finding.effect.limit
    assert not result.ranks


def test_the_remedys_code_shuffles_both_alike():
    x, y = np.arange(50)[:, None], np.arange(50)

    mixed_x, mixed_y = defined_by(remedy_of(result_of(CODE, case(train_fault=ordered))))["shuffled"](x, y)

    np.testing.assert_array_equal(mixed_x[:, 0], mixed_y)
    assert (mixed_y != y).any()


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("prevalence", [0.5, 0.05])
def test_stays_silent_on_a_shuffled_file(task: str, prevalence: float):
    assert result_of(CODE, case(task, prevalence=prevalence)).finding is None


def test_stays_silent_on_a_drift_that_few_runs_show():
    """Certain in 8000 rows, and far from sorted."""

    def drifting(part: Part, train: Part, rng: np.random.Generator) -> Part:
        return part.at(np.argsort(part.y + rng.normal(0, 1.2, len(part))))

    assert result_of(CODE, case(n_train=8000, train_fault=drifting)).finding is None


def test_stays_silent_on_a_handful_of_rows_in_order():
    """Twenty rows in order may be ten and ten by chance, once in some hundred thousand files."""
    assert result_of(CODE, case(n_train=20, train_fault=ordered)).finding is None


def test_stays_silent_on_labels_that_take_turns():
    def alternating(part: Part, train: Part, rng: np.random.Generator) -> Part:
        order = np.argsort(part.y, kind="stable")
        half = len(order) // 2
        return part.at(np.stack([order[:half], order[half : 2 * half]], axis=1).reshape(-1))

    assert result_of(CODE, case(train_fault=alternating)).finding is None


def test_inconclusive_on_few_rows():
    assert result_of(CODE, case(n_train=19)).outcome is Outcome.INCONCLUSIVE
