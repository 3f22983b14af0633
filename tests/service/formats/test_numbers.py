"""Numbers as people read them."""

import pytest

from schemas.report import Estimate
from service.formats.numbers import bounds, estimate, number, percent, signed


@pytest.mark.parametrize(
    ("value", "interval", "text"),
    [
        (0.96598, (0.9367, 0.9882), "0.97"),
        (0.998602, (0.99335, 0.99971), "0.999"),
        (10.113, (9.09, 11.13), "10"),
        (123_456.7, (120_000.0, 126_000.0), "123,457"),
        (0.5, (0.5, 0.5), "0.50"),
        (0.0902763, None, "0.090"),
        (-0.25, (-0.3, -0.2), "\N{MINUS SIGN}0.25"),
        (-0.0001, (-0.1, 0.1), "0.00"),
        (0.0, None, "0.00"),
        (3e9, None, "3e+09"),
        (1e-9, None, "1e\N{MINUS SIGN}09"),
        (None, None, "\N{EN DASH}"),
    ],
)
def test_no_more_digits_than_the_interval_supports(value, interval, text):
    assert number(value, interval) == text


def test_both_ends_of_an_interval_have_the_same_digits():
    assert bounds((0.9367, 0.9882)) == "0.94 to 0.99"
    assert bounds(None) == ""


def test_an_end_that_is_next_to_nothing_beside_the_other_is_zero():
    assert bounds((-3e-05, 0.0098)) == "0.000 to 0.010"
    assert bounds((1e-9, 2e-9)) == "1e\N{MINUS SIGN}09 to 2e\N{MINUS SIGN}09"


def test_an_estimate_without_a_number_is_a_dash():
    assert estimate(Estimate(estimate=None)) == ("\N{EN DASH}", "")
    assert estimate(None) == ("\N{EN DASH}", "")


def test_gains_have_their_sign():
    assert (signed(0.4), signed(-0.4), signed(0.0)) == ("+0.400", "\N{MINUS SIGN}0.400", "0.00")


def test_small_shares_are_not_rounded_to_nothing():
    assert (percent(0.004), percent(0.59), percent(-0.2)) == ("0.4%", "59%", "\N{MINUS SIGN}20%")
