import numpy as np
import pytest
from scipy.stats import false_discovery_control

from audits.statistics.multiplicity import benjamini_hochberg

P_VALUES = np.array([0.02, 0.001, 0.8, 0.02, 0.04, 0.03])


def test_false_discovery_rates_agree_with_scipy():
    assert benjamini_hochberg(P_VALUES) == pytest.approx(false_discovery_control(P_VALUES, method="bh"))


def test_benjamini_hochberg_gives_its_published_example():
    """Table 1 of the paper: at 5 %, four of these fifteen are rejected."""
    small = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459]
    p_values = np.array([*small, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0])

    assert (benjamini_hochberg(p_values) <= 0.05).sum() == 4


def test_tests_that_were_not_made_do_not_count():
    with_gaps = benjamini_hochberg(np.array([0.01, np.nan, 0.04, np.nan]))

    assert np.isnan(with_gaps[[1, 3]]).all()
    assert with_gaps[[0, 2]] == pytest.approx(benjamini_hochberg(np.array([0.01, 0.04])))
    assert benjamini_hochberg(np.array([])).shape == (0,)


def test_the_false_discovery_rate_is_kept():
    """10 of 50 columns shifted: of what is found, at most 5 % is false on average."""
    rng = np.random.default_rng(1)
    shares = []
    for _ in range(400):
        p_values = np.concatenate([rng.beta(0.1, 5, 10), rng.random(40)])
        found = benjamini_hochberg(p_values) < 0.05
        shares.append(found[10:].sum() / max(found.sum(), 1))

    assert 0.025 < np.mean(shares) < 0.055
