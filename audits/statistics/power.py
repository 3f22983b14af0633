"""How small a difference the validation rows can show."""

from math import ceil, inf, sqrt

from scipy.stats import norm


def minimum_detectable_difference(
    p: float, n: float, power: float = 0.8, alpha: float = 0.05, n_reference: float = inf
) -> float:
    """The smallest difference of a proportion that a two-sided test finds with this power.

    Args:
        p: the proportion seen.
        n: rows behind it; inf when 0.
        power: chance to find it.
        alpha: level of the test.
        n_reference: rows of what it is compared with; a known value by default.

    The proportion is smoothed by two successes and two failures (Agresti & Coull, 1998,
    https://doi.org/10.1080/00031305.1998.10480550): 20 right answers of 20 do not mean that nothing is left
    to see.
    """
    if n <= 0 or n_reference <= 0:
        return inf
    p = (p * n + 2) / (n + 4)
    standard_error = sqrt(p * (1 - p) * (1 / (n + 4) + 1 / (n_reference + 4)))
    return detectable_from_standard_error(standard_error, power, alpha)


def detectable_from_standard_error(standard_error: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """The same of any statistic that is about normal: 2.80 standard errors at the defaults."""
    return _normal_factor(power, alpha) * standard_error


def rows_needed(p: float, difference: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Rows with which a difference from a known proportion p is found with this power."""
    return ceil((_normal_factor(power, alpha) / difference) ** 2 * p * (1 - p))


def effective_rows(n: float, group_size: float, intraclass_correlation: float) -> float:
    """Independent rows that n rows in groups are worth.

    Args:
        n: rows.
        group_size: rows per group on average.
        intraclass_correlation: 0 rows of a group are independent, 1 they repeat each other.

    Reference: Kish, 1965, Survey Sampling (design effect).
    """
    return n / (1 + max(group_size - 1, 0.0) * max(intraclass_correlation, 0.0))


def _normal_factor(power: float, alpha: float) -> float:
    return float(norm.ppf(1 - alpha / 2) + norm.ppf(power))
