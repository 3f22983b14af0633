"""What the remedy says of how to impute, and its code."""

import numpy as np
import pytest

from audits.repairs.imputation import METHODS, Method, impute
from audits.repairs.imputation_remedy import best_method, imputation_remedy
from tests.audits.checks.remedies import defined_by
from tests.factories import case, holes, numbers, splits


@pytest.mark.parametrize("layout", ["table", "vector"])
@pytest.mark.parametrize("method", METHODS)
def test_the_code_imputes_by_the_method_that_is_named(layout: str, method: Method):
    one = case(layout=layout, n_train=200, n_validation=60)
    train, validation = splits(layout=layout, n_train=200, n_validation=60)
    holed = holes(0.2)(validation, train, np.random.default_rng(0)).x

    remedy = imputation_remedy(one, list(one.space.units), method)
    filled = numbers(defined_by(remedy)["impute"](train.x, holed))

    assert f"imputes by {method}, which served best here" in remedy.text
    np.testing.assert_allclose(filled, numbers(impute(one.space, train.x, holed, method)), rtol=1e-4)


@pytest.mark.parametrize("layout", ["table", "vector"])
def test_nothing_served_best_where_nothing_was_compared(layout: str):
    remedy = imputation_remedy(case(layout=layout, n_train=60, n_validation=60), [])

    assert "imputes by median;" in remedy.text
    assert "best" not in remedy.text


def test_the_median_is_best_unless_another_is_better_by_more_than_noise():
    one = case(n_validation=200)
    same, worse = one.mended, one.mended.with_labels(1 - one.mended.labels)

    assert best_method(one, {"median": same, "mean": same}) == "median"
    assert best_method(one, {"median": worse, "mean": same}) == "mean"
