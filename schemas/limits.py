"""Every limit of every check, in one place: typed, described, echoed in the report, overridable per request."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.problem import RequestError


class Limits(BaseModel):
    """The limits of one check."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Repairable(Limits):
    """Limits of a check whose finding is proven by repairing the data and running the model again."""

    min_gain: float = Field(
        0.01, ge=0, lt=1, description="A repair must bring back more of the primary metric than this."
    )
    critical_gain: float = Field(
        0.05, gt=0, description="From this gain on, the number as reported is not usable: critical."
    )
    min_rows: int = Field(
        50,
        ge=2,
        description="Fewer validation rows: distributions cannot be compared, only exact tests are made.",
    )
    placebos: int = Field(
        19,
        ge=19,
        description="Placebo repairs; the true gain must exceed all (19: a one-sided level of 5 %).",
    )


class ScalingMismatch(Repairable):
    fdr: float = Field(0.05, gt=0, lt=1, description="False discovery rate over the columns (Benjamini-Hochberg).")
    min_scale_factor: float = Field(
        1.2,
        gt=1,
        description="Maps within this factor of 1, and within `min_offset_sd`, count as the identity.",
    )
    min_offset_sd: float = Field(0.2, gt=0, description="In training standard deviations; see `min_scale_factor`.")
    max_distance_left: float = Field(
        0.25,
        gt=0,
        lt=1,
        description="The map must leave less than this share of the distance (KS) before it.",
    )


class FeatureOrder(Repairable):
    splits: int = Field(
        39,
        ge=19,
        description="Split halves of the training rows; the cost must fall by more than in all of them.",
    )
    max_columns: int = Field(128, ge=2, description="Wider data are not searched: the assignment is cubic.")


class MissingValues(Repairable):
    min_rate_difference: float = Field(
        0.05, gt=0, lt=1, description="Rates of missing values may differ by this much between the splits."
    )
    fdr: float = Field(0.05, gt=0, lt=1, description="False discovery rate over the columns (Benjamini-Hochberg).")
    neighbours: int = Field(5, ge=1, description="Neighbours of the k-nearest-neighbour imputation.")


class ImputationSpike(Limits):
    min_spike: float = Field(
        0.03, gt=0, lt=1, description="Share of a continuous column that must repeat one value to look imputed."
    )
    min_rows: int = Field(50, ge=10)


class SentinelValues(Repairable):
    min_share: float = Field(0.01, gt=0, lt=1, description="Share of the rows that must hold the value.")
    min_distance: float = Field(
        3.0,
        gt=0,
        description="Distance of the value from the training range, in widths of that range's middle 90 %.",
    )


class Outliers(Repairable):
    fdr: float = Field(0.05, gt=0, lt=1, description="False discovery rate over the columns (Benjamini-Hochberg).")
    tail: float = Field(
        0.001,
        gt=0,
        lt=0.05,
        description="Winsorising cuts at this quantile of the training rows and its complement.",
    )
    fence: float = Field(
        1.0,
        ge=0,
        description="Beyond the quantiles by this many widths of the middle 90 %, a value is an outlier.",
    )


class LabelEncoding(Repairable):
    min_rows: int = Field(30, ge=2, description="Fewer validation rows: only unseen spellings are looked for.")
    max_unit_factor: float = Field(
        3.0,
        gt=1,
        description="Labels of a regression whose unit differs by more than this factor are in another unit.",
    )


class DuplicateLeakage(Limits):
    min_share: float = Field(
        0.01, gt=0, lt=1, description="Share of the validation rows that must be copies of training rows."
    )
    min_ratio: float = Field(
        1.5,
        ge=1,
        description="Copies must be this many times more frequent than within the training rows: "
        "tables of few values repeat themselves by chance.",
    )
    near_distance: float = Field(
        0.13,
        gt=0,
        lt=1,
        description="A near copy lies closer than this share of the median distance between "
        "nearest training neighbours (the limit of cleanlab).",
    )
    critical_share: float = Field(
        0.9, gt=0, le=1, description="Share of copies from which the validation data are the training data: critical."
    )
    min_inflation: float = Field(
        0.01, gt=0, description="Lower bound of the metric's inflation from which the finding is critical."
    )


class TargetLeakage(Limits):
    certain_skill: float = Field(
        0.97,
        gt=0,
        lt=1,
        description="Skill of one column alone (0 chance, 1 perfect) that few honest columns reach.",
    )
    certain_ratio: float = Field(
        0.25, gt=0, lt=1, description="What the column leaves unexplained, against what the next best leaves."
    )
    strong_skill: float = Field(0.7, gt=0, lt=1, description="Skill of one column that is suspect if it stands alone.")
    strong_ratio: float = Field(2.0, gt=1, description="... this many times the skill of the next best column.")
    min_reliance: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="Loss of the training metric when the column is shuffled: the model uses it.",
    )
    min_rows: int = Field(50, ge=10)


class DistributionShift(Limits):
    min_auc: float = Field(
        0.7,
        gt=0.5,
        lt=1,
        description="Lower bound of the two-sample AUC from which the splits are different.",
    )
    certain_auc: float = Field(
        0.9,
        gt=0.5,
        lt=1,
        description="Lower bound from which the validation metric speaks of another population, whatever it costs.",
    )
    min_cost: float = Field(
        0.02,
        ge=0,
        description="Lower bound of the metric's loss that the shift explains, for it to be a cause.",
    )
    max_weight: float = Field(20.0, gt=1, description="Density ratios are clipped here.")
    min_effective_rows: int = Field(50, ge=10, description="Below this effective sample size no weighting is made.")
    min_rows: int = Field(50, ge=10)


class Gap(Limits):
    min_gap: float = Field(0.02, gt=0, description="Gaps below this, in the primary metric, are immaterial.")
    min_gap_share: float = Field(
        0.10, gt=0, lt=1, description="... and below this share of the training metric's skill over chance."
    )
    critical_share: float = Field(
        0.35,
        gt=0,
        lt=1,
        description="Normalised gap (of the skill over chance), lower bound, that is critical.",
    )


class Memorization(Gap):
    near_perfect: float = Field(
        0.98,
        gt=0,
        le=1,
        description="Training metric from which the labels are recited (R2 or balanced accuracy).",
    )
    min_membership: float = Field(
        0.55,
        gt=0.5,
        lt=1,
        description="Lower bound of the AUC by which the loss tells training rows from others.",
    )
    strong_membership: float = Field(0.65, gt=0.5, lt=1, description="Lower bound that suffices without the rest.")


class Overtraining(Limits):
    min_rise: float = Field(0.02, gt=0, description="Relative rise of the validation loss over its minimum.")
    max_p: float = Field(0.01, gt=0, lt=1, description="Kendall's test on the tail after the minimum.")
    min_z: float = Field(2.5, gt=0, description="Last five epochs over the minimum, in standard errors.")
    min_tail: int = Field(5, ge=2, description="Epochs after the minimum.")


class NoSignal(Limits):
    max_skill: float = Field(
        0.10,
        gt=0,
        lt=1,
        description="Twice this skill of a control learner is a signal, whether or not it is significant.",
    )
    max_upper_skill: float = Field(
        0.35,
        gt=0,
        lt=1,
        description="Upper bound of the skill beyond which the rows are too few to say that there is none.",
    )
    min_rows: int = Field(50, ge=20)


class Underfitting(Limits):
    min_advantage: float = Field(
        0.05,
        gt=0,
        description="Lower bound by which the control learner must beat the model, on both splits.",
    )


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


LIMITS: dict[str, type[Limits]] = {
    "overfitting.memorization": Memorization,
    "overfitting.generalization_gap": Gap,
    "overfitting.overtraining": Overtraining,
    "overfitting.no_signal": NoSignal,
    "overfitting.underfitting": Underfitting,
    "metrics.imbalanced_accuracy": ImbalancedAccuracy,
    "metrics.majority_class": MajorityClass,
    "metrics.decision_threshold": DecisionThreshold,
    "metrics.small_validation": SmallValidation,
    "metrics.weak_model": WeakModel,
    "preprocessing.missing_values": MissingValues,
    "preprocessing.sentinel_values": SentinelValues,
    "preprocessing.imputation_spike": ImputationSpike,
    "preprocessing.scaling_mismatch": ScalingMismatch,
    "preprocessing.feature_order": FeatureOrder,
    "preprocessing.label_encoding": LabelEncoding,
    "preprocessing.duplicate_leakage": DuplicateLeakage,
    "preprocessing.target_leakage": TargetLeakage,
    "preprocessing.distribution_shift": DistributionShift,
    "preprocessing.outliers": Outliers,
}


def limits_for(overrides: Mapping[str, Mapping[str, Any]]) -> dict[str, Limits]:
    """The limits of every check, with a request's overrides.

    Raises:
        RequestError: an override names no check or no limit, or its value is out of range.
    """
    for code in overrides:
        if code not in LIMITS:
            raise RequestError(
                "unknown_check",
                f"checks.limits names {code!r}, which is no check; see GET /v1/catalogue.",
                field=f"checks.limits.{code}",
            )
    try:
        return {code: kind.model_validate(dict(overrides.get(code, {}))) for code, kind in LIMITS.items()}
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        code = next(c for c, kind in LIMITS.items() if kind.__name__ == error.title and c in overrides)
        raise RequestError(
            "invalid_limit",
            f"Limit {name!r} of {code}: {first['msg'].lower()}. See GET /v1/catalogue/{code}.",
            field=f"checks.limits.{code}.{name}",
        ) from error
