"""Shares with Wilson's interval (Wilson 1927), which is honest for few trials and for shares near 0 and 1."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm


@dataclass(frozen=True)
class Share:
    hits: int
    trials: int

    @staticmethod
    def of(answers: "list[bool]") -> "Share":
        return Share(sum(answers), len(answers))

    @property
    def estimate(self) -> float:
        return self.hits / self.trials if self.trials else float("nan")

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        if not self.trials:
            return 0.0, 1.0
        z = float(norm.ppf(0.5 + confidence / 2))
        centre = (self.hits + z**2 / 2) / (self.trials + z**2)
        spread = self.estimate * (1 - self.estimate) / self.trials + z**2 / (4 * self.trials**2)
        half = z * float(np.sqrt(spread)) / (1 + z**2 / self.trials)
        return max(0.0, centre - half), min(1.0, centre + half)

    def __str__(self) -> str:
        if not self.trials:
            return "-"
        low, high = self.interval()
        return f"{100 * self.estimate:.0f} % [{100 * low:.0f}, {100 * high:.0f}]"
