import pytest

from audits.statistics.power import detectable_from_standard_error


def test_a_standard_error_is_worth_its_factor():
    assert detectable_from_standard_error(0.01) == pytest.approx(0.02802, abs=1e-5)
    assert detectable_from_standard_error(1, power=0.9, alpha=0.01) == pytest.approx(3.8576, abs=1e-3)
