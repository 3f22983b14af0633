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
    min_lead: float = Field(
        0.02,
        gt=0,
        lt=1,
        description="Lead of the model over the constant answer from which a metric tells them apart: less is what "
        "training once more, or on a few rows more, changes.",
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


class Miscalibration(Limits):
    min_rows: int = Field(50, ge=20, description="Fewer rows: a temperature cannot be fitted on half of them.")
    max_p: float = Field(
        0.01, gt=0, lt=1, description="Consistency resampling: chance of such an error if every probability were true."
    )
    min_gain: float = Field(
        0.05,
        gt=0,
        description="Lower bound of the log loss, in nats, that a cross-fitted temperature must bring back: healthy "
        "models of few rows are a little too sure, and early stopping and dropout leave others a little unsure.",
    )
    min_temperature: float = Field(
        1.5, ge=1, description="A temperature above 1 within this factor is no fault, whatever it gains."
    )
    min_sharpening: float = Field(
        2.5,
        ge=1,
        description="Likewise for a temperature below 1: dropout, weight decay and early stopping leave healthy "
        "models unsure, and who acts on their probabilities errs on the safe side.",
    )
    min_bias_gain: float = Field(
        0.01, gt=0, description="Lower bound of the log loss by which a bias must improve on the temperature alone."
    )
    material_error: float = Field(
        0.15, gt=0, lt=1, description="Where an error of this size could stay unseen, the check is inconclusive."
    )
    placebos: int = Field(
        19,
        ge=19,
        description="Temperatures fitted to shuffled labels; the true gain must exceed all (a one-sided level of 5 %).",
    )


class OutputMismatch(Limits):
    min_rows: int = Field(20, ge=2, description="Answered rows that each split needs.")
    min_loss: float = Field(
        0.02,
        gt=0,
        lt=1,
        description="Lower bound of the metric out of the output's reach; a few targets at its edge are no fault.",
    )
    min_gain: float = Field(
        0.2, gt=0, description="R2 that another unit must bring back: units differ by much, weak models by little."
    )
    min_fit: float = Field(0.3, gt=0, lt=1, description="R2 in the other unit, from which it is one.")
    max_slope: float = Field(
        1.25,
        gt=1,
        description="In the other unit, the slope of the labels over the answers must be 1 within this factor (half of "
        "it for plain divisors, of which some always comes near).",
    )
    max_misfit: float = Field(
        0.05, gt=0, lt=1, description="R2 by which a fitted line may be better than the unit without any fit."
    )
    min_log_loss: float = Field(
        0.02, gt=0, description="Lower bound of the log loss, in nats, that undoing an activation must bring back."
    )
    placebos: int = Field(
        19, ge=19, description="Answers dealt out at random and brought back; the true gain must exceed all."
    )


class DominatedByFew(Limits):
    min_rows: int = Field(50, ge=20, description="With fewer rows, the few are a share of all that proves nothing.")
    few: float = Field(0.01, gt=0, lt=0.2, description="Share of the rows that count as few.")
    min_few: int = Field(3, ge=1, description="... and at least so many: one row is an accident.")
    max_p: float = Field(
        0.01, gt=0, lt=1, description="Chance of the lower bound of their share where errors have usual tails."
    )
    min_share: float = Field(0.5, gt=0, lt=1, description="Share of the squared error that the few must have: most.")
    some: float = Field(0.05, gt=0, lt=0.2, description="Share of the rows that are looked at where the few have less.")
    min_share_of_some: float = Field(
        0.8,
        gt=0,
        lt=1,
        description="Share of the squared error that these must have: targets with long tails leave them two thirds.",
    )
    min_strange: int = Field(
        2, ge=1, description="Targets far beyond those of training, with most of the squared error, that are told."
    )
    min_change: float = Field(
        0.05,
        gt=0,
        description="Lower bound of the change of R2 without them, beyond what errors with usual tails change; and the "
        "least 1 - R2 of which they may be most.",
    )
    placebos: int = Field(19, ge=19, description="Random rows that are left out, as many as the few.")


class ReportedMismatch(Limits):
    min_difference: float = Field(
        0.02,
        gt=0,
        lt=1,
        description="How far a reported share must lie outside the interval of the recomputed one: two points are what "
        "other rows of the same kind, or a restart of the training, easily make.",
    )
    critical_difference: float = Field(
        0.10, gt=0, lt=1, description="Distance by which the reported share overstates the model beyond use."
    )
    min_relative: float = Field(
        0.10,
        gt=0,
        description="The same for errors and losses, which have no common scale: as a share of the recomputed one.",
    )
    critical_relative: float = Field(0.5, gt=0, description="Likewise, beyond use.")


class IncompleteReport(Limits):
    material_gap: float = Field(
        0.3,
        gt=0,
        lt=1,
        description="How far below what is reported the upper bound of the missing metric must lie: a smaller gap "
        "between, say, precision and recall is the usual trade between them.",
    )
    near_zero: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="A target is near zero below this share of the median size: there, an error of a typical size is "
        "an error of 2,000 %.",
    )
    max_near_zero: float = Field(
        0.01, ge=0, lt=1, description="Share of such targets up to which a percentage error still means something."
    )
    min_spread: float = Field(
        0.7,
        gt=0,
        lt=1,
        description="Deviation of the validation targets over that of the training targets: outside this and its "
        "inverse, R2 tells of the rows and not of the model.",
    )
    material_r2: float = Field(0.1, gt=0, description="By how much R2 must differ from R2 at the training spread.")


class WeakSegment(Limits):
    min_rows: int = Field(
        30, ge=10, description="Validation rows that a segment needs: fewer rows give any share by chance."
    )
    min_deficit: float = Field(
        0.10,
        gt=0,
        lt=1,
        description="By how much the rows elsewhere must fare better (lower bound, on rows that did not choose the "
        "segment): share of right answers, or R2. Healthy models differ by less between any two tails of a column.",
    )
    min_excess: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="By how much a simple learner must beat the model inside (lower bound): where it does not, the "
        "segment is hard for everyone.",
    )
    max_segments: int = Field(
        8, ge=1, description="Segments that go from the half that finds to the half that confirms: each costs power."
    )
    material_deficit: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="The deficit of a quarter of the rows that a silent check must have been able to see.",
    )


LIMITS: dict[str, type[Limits]] = {
    "metrics.imbalanced_accuracy": ImbalancedAccuracy,
    "metrics.majority_class": MajorityClass,
    "metrics.dominated_by_few": DominatedByFew,
    "metrics.decision_threshold": DecisionThreshold,
    "metrics.miscalibration": Miscalibration,
    "metrics.output_mismatch": OutputMismatch,
    "metrics.small_validation": SmallValidation,
    "metrics.weak_model": WeakModel,
    "metrics.weak_segment": WeakSegment,
    "metrics.reported_mismatch": ReportedMismatch,
    "metrics.incomplete_report": IncompleteReport,
}
