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


def detectable_gain(gain: float, square: float, n: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """The smallest mean gain over all rows that a paired test finds, when only a share of the rows can gain.

    A share s of the rows gains `gain` on average and the others nothing: the mean is s * gain, its variance about
    s * square / n, and the smallest s that shows solves s * gain = k * sqrt(s * square / n).

    Args:
        gain: mean gain of a row that gains; above 0.
        square: mean of its square.
        n: rows, or what stands for them in the variance.
        power: chance to find it.
        alpha: level of the test.
    """
    k = detectable_from_standard_error(1.0, power, alpha)
    return k * k * square / (n * gain)
