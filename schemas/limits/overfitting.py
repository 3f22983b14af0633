"""Limits of the checks of the family `overfitting`."""

from pydantic import Field

from schemas.limits.base import Limits


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
    max_p: float = Field(
        0.001,
        gt=0,
        lt=1,
        description="Level of Kendall's test on the tail after the minimum; low, because losses that only wander for a "
        "while pass it ten times as often as its level says.",
    )
    min_z: float = Field(2.5, gt=0, description="Last five epochs over the minimum, in standard errors.")
    min_held: float = Field(
        5.0,
        gt=0,
        description="Or: the last two thirds of at least 20 epochs after the minimum stay above it by so many of their "
        "deviations. Finds losses that rose at once and levelled off; a plateau that wanders exceeds 5 in 0.2 %.",
    )
    min_tail: int = Field(5, ge=2, description="Epochs after the minimum.")


class ExcessCapacity(Gap):
    max_parameters_per_row: float = Field(
        10.0,
        gt=0,
        description="Trained parameters per training row. A convention: networks far above it often generalise, so "
        "that it counts only beside a material gap, and never more than as an observation.",
    )


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
    min_fall: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="Share by which the losses must have fallen over the last fifth of the epochs to say that training "
        "ended too early; a healthy training levels off below it.",
    )


LIMITS: dict[str, type[Limits]] = {
    "overfitting.memorization": Memorization,
    "overfitting.generalization_gap": Gap,
    "overfitting.overtraining": Overtraining,
    "overfitting.excess_capacity": ExcessCapacity,
    "overfitting.no_signal": NoSignal,
    "overfitting.underfitting": Underfitting,
}
