"""Limits: typed, described, overridable, and refused by name when they are wrong."""

import math
from typing import Any

import pytest

from schemas.limits import LIMITS, limits_for
from schemas.problem import RequestError


@pytest.mark.parametrize("code", LIMITS)
def test_every_limit_is_a_described_number(code: str):
    fields = LIMITS[code].model_fields

    assert fields
    for name, field in fields.items():
        default = field.default
        assert isinstance(default, int | float), f"{code}.{name}"
        assert math.isfinite(default)
        assert field.metadata, f"{code}.{name} has no bounds"


def test_without_overrides_all_are_at_their_defaults():
    limits = limits_for({})

    assert set(limits) == set(LIMITS)
    assert all(limits[code] == kind() for code, kind in LIMITS.items())


def test_an_override_changes_its_limit_alone():
    limits = limits_for({"metrics.weak_model": {"min_skill": 0.3}})

    assert limits["metrics.weak_model"].model_dump() == {"min_skill": 0.3, "min_forecast_skill": 0.03}
    assert limits["metrics.majority_class"] == LIMITS["metrics.majority_class"]()


def test_checks_that_share_a_kind_of_limits_do_not_share_the_override():
    changed = limits_for({"overfitting.memorization": {"min_gap": 0.5}})

    assert changed["overfitting.memorization"].min_gap == 0.5
    assert changed["overfitting.generalization_gap"].min_gap == 0.02


@pytest.mark.parametrize(
    ("overrides", "code", "field"),
    [
        ({"metrics.nonsense": {}}, "unknown_check", "checks.limits.metrics.nonsense"),
        ({"metrics.weak_model": {"min_skil": 0.1}}, "invalid_limit", "checks.limits.metrics.weak_model.min_skil"),
        ({"metrics.weak_model": {"min_skill": 2}}, "invalid_limit", "checks.limits.metrics.weak_model.min_skill"),
        ({"metrics.weak_model": {"min_skill": "lots"}}, "invalid_limit", "checks.limits.metrics.weak_model.min_skill"),
        (
            {"metrics.weak_model": {"min_skill": math.nan}},
            "invalid_limit",
            "checks.limits.metrics.weak_model.min_skill",
        ),
        (
            {"preprocessing.outliers": {"placebos": 18}},
            "invalid_limit",
            "checks.limits.preprocessing.outliers.placebos",
        ),
    ],
)
def test_a_wrong_override_is_refused_by_name(overrides: dict[str, dict[str, Any]], code: str, field: str):
    with pytest.raises(RequestError) as refusal:
        limits_for(overrides)

    assert (refusal.value.code, refusal.value.field) == (code, field)


def test_the_second_of_two_overrides_is_named_when_it_is_the_wrong_one():
    with pytest.raises(RequestError) as refusal:
        limits_for({"metrics.weak_model": {"min_skill": 0.2}, "preprocessing.outliers": {"fence": -1}})

    assert refusal.value.field == "checks.limits.preprocessing.outliers.fence"
