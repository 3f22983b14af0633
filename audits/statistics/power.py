"""How small a difference the validation rows can show."""

from scipy.stats import norm


def detectable_from_standard_error(standard_error: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """The smallest difference that a two-sided test finds with this power: 2.80 standard errors at the defaults.

    Args:
        standard_error: of a statistic that is about normal.
        power: chance to find it.
        alpha: level of the test.
    """
    return float(norm.ppf(1 - alpha / 2) + norm.ppf(power)) * standard_error
