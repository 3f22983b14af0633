"""What the alarms of other tools mean in the words of the catalogue.

`names`: codes of which a user who reads the alarm knows what is wrong. `notices`: codes of faults that may well set the
alarm off, without its saying so. Alarms that are about no fault of the catalogue are left out: they count neither way.
"""

from dataclasses import dataclass

MOVED_DATA = (
    "preprocessing.distribution_shift",
    "preprocessing.scaling_mismatch",
    "preprocessing.feature_order",
    "preprocessing.category_mismatch",
    "preprocessing.constant_feature",
    "preprocessing.identifier_feature",
    "preprocessing.missing_values",
    "preprocessing.sentinel_values",
    "preprocessing.imputation_spike",
    "preprocessing.outliers",
    "preprocessing.image_geometry",
    "preprocessing.prior_shift",
    "preprocessing.target_leakage",
)
MOVED_LABELS = (
    "preprocessing.prior_shift",
    "preprocessing.label_encoding",
    "preprocessing.label_noise",
    "metrics.dominated_by_few",
    "metrics.imbalanced_accuracy",
)
POOR = (
    "metrics.weak_model",
    "metrics.majority_class",
    "metrics.decision_threshold",
    "metrics.output_mismatch",
    "metrics.imbalanced_accuracy",
    "overfitting.underfitting",
    "overfitting.no_signal",
    "preprocessing.unscaled_inputs",
    "preprocessing.unshuffled",
)
WORSE = (
    *MOVED_DATA,
    "overfitting.generalization_gap",
    "overfitting.memorization",
    "overfitting.overtraining",
    "overfitting.no_signal",
    "preprocessing.label_encoding",
    "preprocessing.label_noise",
    "metrics.dominated_by_few",
    "metrics.reported_mismatch",
)


@dataclass(frozen=True)
class Meaning:
    names: tuple[str, ...]
    notices: tuple[str, ...] = ()


MEANINGS: dict[str, dict[str, Meaning]] = {
    "deepchecks": {
        "Single Value in Column": Meaning(("preprocessing.constant_feature",)),
        "Mixed Nulls": Meaning(("preprocessing.missing_values",)),
        "Mixed Data Types": Meaning(("preprocessing.dtype_mismatch",)),
        "String Mismatch": Meaning(("preprocessing.category_mismatch",), ("preprocessing.label_encoding",)),
        "String Mismatch Comparison": Meaning(("preprocessing.category_mismatch",), ("preprocessing.label_encoding",)),
        "New Category Train Test": Meaning(("preprocessing.category_mismatch",)),
        "New Label Train Test": Meaning(("preprocessing.label_encoding",)),
        "Data Duplicates": Meaning(("preprocessing.duplicates",)),
        "Conflicting Labels": Meaning(("preprocessing.label_noise",), ("preprocessing.duplicates",)),
        "Feature Label Correlation": Meaning(("preprocessing.target_leakage",), ("preprocessing.identifier_feature",)),
        "Feature Label Correlation Change": Meaning(
            ("preprocessing.target_leakage",), (*MOVED_DATA, *MOVED_LABELS, "preprocessing.label_encoding")
        ),
        "Identifier Label Correlation": Meaning(("preprocessing.identifier_feature", "preprocessing.target_leakage")),
        "Train Test Samples Mix": Meaning(("preprocessing.duplicate_leakage",)),
        "Date Train Test Leakage Duplicates": Meaning(("preprocessing.temporal_leakage",)),
        "Date Train Test Leakage Overlap": Meaning(("preprocessing.temporal_leakage",)),
        "Index Train Test Leakage": Meaning(("preprocessing.group_leakage",), ("preprocessing.duplicate_leakage",)),
        "Feature Drift": Meaning(("preprocessing.distribution_shift",), MOVED_DATA),
        "Multivariate Drift": Meaning(("preprocessing.distribution_shift",), MOVED_DATA),
        "Label Drift": Meaning(("preprocessing.prior_shift",), MOVED_LABELS),
        "Prediction Drift": Meaning((), (*MOVED_DATA, *MOVED_LABELS)),
        "Train Test Performance": Meaning(("overfitting.generalization_gap",), WORSE),
        "ROC Report": Meaning(("metrics.weak_model",), (*POOR, *WORSE)),
        "Simple Model Comparison": Meaning(("metrics.weak_model",), (*POOR, *WORSE)),
        "Weak Segments Performance": Meaning(("metrics.weak_segment",)),
        "Regression Error Distribution": Meaning((), (*WORSE, "metrics.output_mismatch")),
    },
    "evidently": {
        "Share of Drifted Columns": Meaning(("preprocessing.distribution_shift",), MOVED_DATA),
        "Value Drift": Meaning(("preprocessing.distribution_shift",), MOVED_DATA),
        "Value Drift of the label": Meaning(("preprocessing.prior_shift",), MOVED_LABELS),
        "Value Drift of the prediction": Meaning((), (*MOVED_DATA, *MOVED_LABELS)),
    },
    "cleanlab": {
        "label": Meaning(("preprocessing.label_noise",), ("preprocessing.label_encoding", "metrics.dominated_by_few")),
        "training label": Meaning(("preprocessing.label_noise",)),
        "outlier": Meaning(
            ("preprocessing.outliers",), ("preprocessing.sentinel_values", "preprocessing.missing_values")
        ),
        "near_duplicate": Meaning(("preprocessing.duplicates",)),
        "non_iid": Meaning(("preprocessing.unshuffled",), ("preprocessing.distribution_shift",)),
        "null": Meaning(("preprocessing.missing_values",)),
        "class_imbalance": Meaning(("metrics.imbalanced_accuracy",), ("preprocessing.prior_shift",)),
    },
    "skore": {
        "SKD001": Meaning(("overfitting.generalization_gap",), WORSE),
        "SKD002": Meaning(("overfitting.underfitting",), (*POOR, *WORSE)),
        "SKD004": Meaning(("metrics.imbalanced_accuracy",), ("metrics.majority_class", "metrics.decision_threshold")),
        "SKD005": Meaning(("metrics.imbalanced_accuracy",), ("preprocessing.prior_shift",)),
        "SKD009": Meaning(("metrics.weak_model",), (*POOR, *WORSE)),
        "SKD011": Meaning(("preprocessing.target_leakage",), ("preprocessing.identifier_feature",)),
        "SKD013": Meaning(("preprocessing.temporal_leakage",)),
    },
}
