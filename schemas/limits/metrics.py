"""Limits of the checks of the family `metrics`."""

from pydantic import Field

from schemas.limits.base import Limits


class ImbalancedAccuracy(Limits):
    max_minority: float = Field(
        0.2,
        gt=0,
        le=0.5,
        description="Share of the smallest class up to which accuracy is called imbalanced (binary).",
    )
    min_illusion: float = Field(
        0.05, gt=0, description="Lower bound of accuracy minus balanced accuracy that misleads."
    )


class MajorityClass(Limits):
    min_share: float = Field(0.95, gt=0.5, le=1, description="Share of the answers that name one class.")
    min_excess: float = Field(
        0.02, gt=0, description="Their lower bound must exceed the share in which the class occurs by this much."
    )


class DecisionThreshold(Limits):
    min_gain: float = Field(0.02, gt=0, description="Lower bound of the cross-fitted gain in balanced accuracy.")
    critical_gain: float = Field(0.10, gt=0, description="Gain from which the decisions are not usable.")
    min_auc: float = Field(
        0.6, ge=0.5, lt=1, description="Lower bound of the ROC AUC from which a ranking is worth a better threshold."
    )
    min_class_rows: int = Field(10, ge=2, description="Rows that each class needs for a threshold to be fitted.")


class SmallValidation(Limits):
    material_difference: float = Field(
        0.10,
        gt=0,
        lt=1,
        description="The difference of the primary metric that a validation set must resolve.",
    )
    power: float = Field(0.8, gt=0, lt=1)
    alpha: float = Field(0.05, gt=0, lt=1)


class WeakModel(Limits):
    min_skill: float = Field(0.10, gt=0, lt=1, description="Skill (0 chance, 1 perfect) that a model should have.")
    min_forecast_skill: float = Field(
        0.03,
        gt=0,
        lt=1,
        description="Upper bound of the skill over the naive forecast below which a forecast that leans on the last "
        "value adds nothing. Low, since a slow series leaves little to gain: the best forecast of one whose steps "
        "correlate by 0.9 has a skill of 0.05.",
    )


LIMITS: dict[str, type[Limits]] = {
    "metrics.imbalanced_accuracy": ImbalancedAccuracy,
    "metrics.majority_class": MajorityClass,
    "metrics.decision_threshold": DecisionThreshold,
    "metrics.small_validation": SmallValidation,
    "metrics.weak_model": WeakModel,
}
