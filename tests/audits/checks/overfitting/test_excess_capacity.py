"""overfitting.excess_capacity: an observation beside a gap, and never more."""

import pytest

from audits.artefacts import ModelInternals, WeightMatrix
from audits.checks.overfitting.excess_capacity import CODE
from schemas.report import Outcome, Severity
from tests.audits.checks.remedies import remedy_of
from tests.factories import case, memoriser, result_of


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_fires_on_many_parameters_beside_a_gap(task: str):
    result = result_of(CODE, case(task, model=memoriser, signal=0.5, parameters=100_000))

    assert result.finding.severity is Severity.INFO
    assert result.finding.effect.estimate == pytest.approx(200)
    assert (result.outcome, result.ranks) == (Outcome.PASS, False)
    assert "PARAMETERS_WANTED" in str(remedy_of(result).code)


def test_stays_silent_on_many_parameters_without_a_gap():
    result = result_of(CODE, case(parameters=100_000, n_train=2000, n_validation=2000))

    assert result.finding is None
    assert result.outcome is Outcome.PASS
    assert "no material gap" in result.reason


def test_stays_silent_on_a_gap_of_a_small_network():
    assert result_of(CODE, case(model=memoriser, signal=0.5, parameters=4999)).finding is None


def test_parameters_are_counted_by_class_too():
    evidence = result_of(CODE, case("multiclass", model=memoriser, signal=0.5, parameters=150_000)).finding.evidence

    assert (evidence["parameters_per_row"], evidence["parameters_per_label"]) == (300, 100)


def test_spectra_are_supporting_evidence():
    weights = WeightMatrix("large", (60, 80), 9.0, 12.0, 1.5), WeightMatrix("small", (3, 4), 1.0)
    one = case(model=memoriser, signal=0.5, parameters=100_000, internals=ModelInternals(weights=weights))

    (spectrum,) = result_of(CODE, one).finding.evidence["spectra"]

    assert (spectrum["name"], spectrum["power_law_alpha"], spectrum["stable_rank"]) == ("large", 1.5, 12.0)


@pytest.mark.parametrize("world", [{"parameters": None}, {"parameters": 100_000, "n_validation": 20}])
def test_inconclusive_without_a_count_or_rows(world: dict):
    assert result_of(CODE, case(model=memoriser, **world)).outcome is Outcome.INCONCLUSIVE


def test_the_limit_of_a_request_counts():
    limits = {CODE: {"max_parameters_per_row": 500.0}}

    assert result_of(CODE, case(model=memoriser, signal=0.5, parameters=100_000, limits=limits)).finding is None
