"""Limits of the checks of the family `preprocessing`."""

from pydantic import Field

from schemas.limits.base import Limits, Repairable


class MissingValues(Repairable):
    min_rate_difference: float = Field(
        0.05, gt=0, lt=1, description="Rates of missing values may differ by this much between the splits."
    )
    fdr: float = Field(0.05, gt=0, lt=1, description="False discovery rate over the columns (Benjamini-Hochberg).")
    neighbours: int = Field(5, ge=1, description="Neighbours of the k-nearest-neighbour imputation.")
    min_association: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="Lower bound of Cramer's V of holes and label from which the holes are informative: the least "
        "that Cohen calls an association.",
    )


class SentinelValues(Repairable):
    min_share: float = Field(0.01, gt=0, lt=1, description="Share of the rows that must hold the value.")
    min_distance: float = Field(
        3.0,
        gt=0,
        description="Distance of the value from the training range, in widths of that range's middle 90 %.",
    )


class ImputationSpike(Limits):
    min_spike: float = Field(
        0.03, gt=0, lt=1, description="Share of a continuous column that must repeat one value to look imputed."
    )
    min_rows: int = Field(50, ge=10)
    min_excess: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="How much larger the share must be in the validation data for one split to have been filled alone.",
    )
    min_cost: float = Field(
        0.02,
        gt=0,
        lt=1,
        description="Lower bound of what the training metric loses with values filled likewise, for it to be a cause.",
    )
    critical_cost: float = Field(0.05, gt=0, lt=1, description="Lower bound of that loss that is critical.")


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
    max_layer_distance: float = Field(
        0.5,
        gt=0,
        description="Means of both splits may lie this far from the mean that a layer of the model holds, in that "
        "layer's deviations; samples of what the model was fitted to lie far nearer, moving averages that have not "
        "settled may not.",
    )


class FeatureOrder(Repairable):
    splits: int = Field(
        39,
        ge=19,
        description="Split halves of the training rows; the cost must fall by more than in all of them.",
    )
    max_columns: int = Field(128, ge=2, description="Wider data are not searched: the assignment is cubic.")


class ImageGeometry(Repairable):
    splits: int = Field(
        39,
        ge=19,
        description="Random parts of the training images; the distance must fall by more than between all of them.",
    )
    max_gap_left: float = Field(
        0.5,
        gt=0,
        lt=1,
        description="After the change, validation images may lie farther from the training images than those from "
        "each other by at most this share of what it was before: a change that leaves more is not what happened.",
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
    min_correlation: float = Field(
        0.98,
        gt=0,
        lt=1,
        description="A near copy of an image correlates with it more than this, whatever its brightness and contrast.",
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
    strong_skill: float = Field(
        0.85,
        gt=0,
        lt=1,
        description="Skill of one column that is suspect if it stands alone; honest ones reach 0.8 in controls.",
    )
    vanished_skill: float = Field(
        0.7, gt=0, lt=1, description="... where the validation data do not hold it: honest columns do not vanish."
    )
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


class CategoryMismatch(Repairable):
    max_levels: int = Field(
        30,
        ge=2,
        description="A column of more distinct values is no column of categories that can be told apart by their "
        "rows; the spelling of texts is looked at whatever their number.",
    )
    max_columns: int = Field(
        64,
        ge=1,
        description="In wider data only the spelling of texts is looked at: the positions of a row that is "
        "that wide are pixels or words, not categories.",
    )
    splits: int = Field(
        39,
        ge=19,
        description="Split halves of the training rows; codes must be likelier in another reading by more than in all.",
    )
    min_unseen_share: float = Field(
        0.01, gt=0, lt=1, description="Share of the validation rows with a category that the training data never hold."
    )
    min_unseen_cost: float = Field(
        0.01,
        gt=0,
        lt=1,
        description="Lower bound of the metric's loss on training rows whose categories are replaced by the unseen "
        "ones, as many as there are in the validation data.",
    )
    max_unknown_words: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="Share of words that the training data never hold, beyond their own share between halves, from "
        "which sentences are looked at for another spelling.",
    )


class ConstantFeature(Repairable):
    min_cost: float = Field(
        0.01,
        gt=0,
        lt=1,
        description="Lower bound of what the training metric loses when the column is made as constant as it is in the "
        "validation data, for it to be a cause.",
    )


class IdentifierFeature(Limits):
    min_distinct: float = Field(
        0.98,
        gt=0.5,
        le=1,
        description="Share of distinct values from which a column of whole numbers or texts may be an identifier.",
    )
    chance_level: float = Field(
        0.001,
        gt=0,
        lt=0.1,
        description="Numbers drawn from so narrow a range would repeat; an identifier is unique although the chance of "
        "it is below this.",
    )
    min_reliance: float = Field(
        0.02,
        gt=0,
        lt=1,
        description="Lower bound of what the training metric loses when the column is shuffled: the model uses it.",
    )
    min_rows: int = Field(50, ge=10, description="Fewer training rows are unique by chance.")


class DtypeMismatch(Repairable):
    fdr: float = Field(0.05, gt=0, lt=1, description="False discovery rate over the columns (Benjamini-Hochberg).")
    max_whole_share: float = Field(
        0.5,
        gt=0,
        lt=1,
        description="A column whose training values are whole more often than this is not called rounded.",
    )
    min_cut_share: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="Share of the texts that must end at the one greatest length for it to be a cut.",
    )
    min_cost: float = Field(
        0.01,
        gt=0,
        lt=1,
        description="Lower bound of what the training metric loses when its values are rounded or cut likewise, for it "
        "to be a cause.",
    )


class UnscaledInputs(Limits):
    min_ratio: float = Field(
        1000.0,
        gt=1,
        description="Ratio between the largest and the smallest deviation of the columns, or of the largest value to "
        "1, from which gradient descent on raw columns is expected to fail.",
    )


class GroupLeakage(Limits):
    min_share: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="Share of the validation rows whose group was trained on; fewer cannot move the metric by much.",
    )
    min_groups: int = Field(
        10,
        ge=2,
        description="Fewer groups in either split are categories (sex, site, weekday) that every split has.",
    )
    min_inflation: float = Field(
        0.03,
        gt=0,
        description="Lower bound by which rows of seen groups must score better for the finding to be critical.",
    )


class TemporalLeakage(Limits):
    min_share: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="Share of the validation rows from before the end of the training data; rows of the day of the cut "
        "may stand on either side.",
    )
    min_fall: float = Field(
        0.03,
        gt=0,
        description="Lower bound of the metric's fall towards later rows from which the finding is critical.",
    )


class Duplicates(Limits):
    min_share: float = Field(
        0.01, gt=0, lt=1, description="Share of the training rows that must repeat an earlier one to be mentioned."
    )
    min_ratio: float = Field(
        1.5, ge=1, description="Copies must be this many times more frequent than columns of such few values give."
    )
    large_share: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="From this share on, the rows are materially fewer than they look, whatever the metric says.",
    )
    max_conflicts: float = Field(
        0.02,
        gt=0,
        lt=1,
        description="Lower bound of the share of rows with another label than their copies: no model can learn both.",
    )
    min_inflation: float = Field(
        0.01, gt=0, description="Lower bound of the change of the training metric without copies that is material."
    )


class PriorShift(Limits):
    min_odds_ratio: float = Field(
        2.0,
        gt=1,
        description="Lower bound of the factor between a class's odds in the two splits; at less, precision and "
        "probabilities change by what their intervals hide.",
    )
    large_odds_ratio: float = Field(
        5.0, gt=1, description="A factor that matters whatever the metric: where it would go unseen, nothing is said."
    )
    certain_difference: float = Field(
        0.10,
        gt=0,
        lt=1,
        description="Lower bound of the difference of a class's shares from which numbers that depend on the shares "
        "speak of another population, whatever it costs.",
    )
    min_cost: float = Field(
        0.02, gt=0, description="Bound of the change of accuracy, precision or log loss that is material."
    )
    min_rows: int = Field(30, ge=10)


class LabelNoise(Limits):
    min_rate: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="Lower bound of the share of wrong labels. Curated data sets hold up to a few per cent "
        "(Northcutt, Athalye & Mueller, 2021: 3.3 % on average).",
    )
    critical_rate: float = Field(0.2, gt=0, lt=1, description="Lower bound from which the labels are not usable.")
    material_rate: float = Field(
        0.2, gt=0, lt=1, description="A share that must not go unseen: where it would, nothing is said."
    )
    min_sure_agreement: float = Field(
        0.85,
        gt=0.5,
        le=1,
        description="Labels of the better split that agree with learners where these are sure; below, a wrong label "
        "and a hard row look alike.",
    )
    min_sure_share: float = Field(
        0.6,
        gt=0,
        le=1,
        description="The excess where learners are sure, against the excess in all. Wrong labels do not spare "
        "clear rows; hard or noisy rows do.",
    )
    max_shift_auc: float = Field(
        0.6,
        gt=0.5,
        lt=1,
        description="Lower bound of the two-sample AUC from which rows, not labels, may be what differs.",
    )


LIMITS: dict[str, type[Limits]] = {
    "preprocessing.missing_values": MissingValues,
    "preprocessing.sentinel_values": SentinelValues,
    "preprocessing.imputation_spike": ImputationSpike,
    "preprocessing.scaling_mismatch": ScalingMismatch,
    "preprocessing.feature_order": FeatureOrder,
    "preprocessing.image_geometry": ImageGeometry,
    "preprocessing.label_encoding": LabelEncoding,
    "preprocessing.duplicate_leakage": DuplicateLeakage,
    "preprocessing.target_leakage": TargetLeakage,
    "preprocessing.distribution_shift": DistributionShift,
    "preprocessing.outliers": Outliers,
    "preprocessing.category_mismatch": CategoryMismatch,
    "preprocessing.constant_feature": ConstantFeature,
    "preprocessing.identifier_feature": IdentifierFeature,
    "preprocessing.dtype_mismatch": DtypeMismatch,
    "preprocessing.unscaled_inputs": UnscaledInputs,
    "preprocessing.group_leakage": GroupLeakage,
    "preprocessing.temporal_leakage": TemporalLeakage,
    "preprocessing.duplicates": Duplicates,
    "preprocessing.prior_shift": PriorShift,
    "preprocessing.label_noise": LabelNoise,
}
