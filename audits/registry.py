"""Every check, in report order, and every detector whose repair is tried, the most specific first."""

from collections.abc import Callable, Sequence

from audits.catalogue import unknown_check
from audits.checks.metrics.decision_threshold import decision_threshold
from audits.checks.metrics.dominated_by_few import dominated_by_few
from audits.checks.metrics.imbalanced_accuracy import imbalanced_accuracy
from audits.checks.metrics.incomplete_report import incomplete_report
from audits.checks.metrics.majority_class import majority_class
from audits.checks.metrics.miscalibration import miscalibration
from audits.checks.metrics.output_mismatch import output_mismatch
from audits.checks.metrics.reported_mismatch import reported_mismatch
from audits.checks.metrics.small_validation import small_validation
from audits.checks.metrics.weak_model import weak_model
from audits.checks.metrics.weak_segment import weak_segment
from audits.checks.overfitting.excess_capacity import excess_capacity
from audits.checks.overfitting.generalization_gap import generalization_gap
from audits.checks.overfitting.memorization import memorization
from audits.checks.overfitting.no_signal import no_signal
from audits.checks.overfitting.overtraining import overtraining
from audits.checks.overfitting.underfitting import underfitting
from audits.checks.preprocessing import (
    category_mismatch,
    constant_feature,
    distribution_shift,
    dtype_mismatch,
    duplicate_leakage,
    duplicates,
    feature_order,
    group_leakage,
    identifier_feature,
    image_geometry,
    imputation_spike,
    label_encoding,
    label_noise,
    missing_values,
    non_finite_output,
    outliers,
    prior_shift,
    scaling_mismatch,
    sentinel_values,
    target_leakage,
    temporal_leakage,
    unscaled_inputs,
    unshuffled,
)
from audits.evidence.case import Case
from audits.repairs.categories import against_model as model_categories
from audits.repairs.protocol import Suspect
from audits.repairs.scaling import against_model as model_scale
from audits.results import CheckResult
from schemas.problem import RequestError

Check = Callable[[Case], CheckResult]

CHECKS: tuple[tuple[str, Check], ...] = (
    ("overfitting.memorization", memorization),
    ("overfitting.generalization_gap", generalization_gap),
    ("overfitting.overtraining", overtraining),
    ("overfitting.excess_capacity", excess_capacity),
    ("overfitting.no_signal", no_signal),
    ("overfitting.underfitting", underfitting),
    ("metrics.imbalanced_accuracy", imbalanced_accuracy),
    ("metrics.majority_class", majority_class),
    ("metrics.decision_threshold", decision_threshold),
    ("metrics.miscalibration", miscalibration),
    ("metrics.output_mismatch", output_mismatch),
    ("metrics.dominated_by_few", dominated_by_few),
    ("metrics.small_validation", small_validation),
    ("metrics.weak_model", weak_model),
    ("metrics.weak_segment", weak_segment),
    ("metrics.reported_mismatch", reported_mismatch),
    ("metrics.incomplete_report", incomplete_report),
    ("preprocessing.missing_values", missing_values.missing_values),
    ("preprocessing.sentinel_values", sentinel_values.sentinel_values),
    ("preprocessing.imputation_spike", imputation_spike.imputation_spike),
    ("preprocessing.non_finite_output", non_finite_output.non_finite_output),
    ("preprocessing.scaling_mismatch", scaling_mismatch.scaling_mismatch),
    ("preprocessing.unscaled_inputs", unscaled_inputs.unscaled_inputs),
    ("preprocessing.feature_order", feature_order.feature_order),
    ("preprocessing.image_geometry", image_geometry.image_geometry),
    ("preprocessing.label_encoding", label_encoding.label_encoding),
    ("preprocessing.category_mismatch", category_mismatch.category_mismatch),
    ("preprocessing.dtype_mismatch", dtype_mismatch.dtype_mismatch),
    ("preprocessing.constant_feature", constant_feature.constant_feature),
    ("preprocessing.identifier_feature", identifier_feature.identifier_feature),
    ("preprocessing.duplicate_leakage", duplicate_leakage.duplicate_leakage),
    ("preprocessing.target_leakage", target_leakage.target_leakage),
    ("preprocessing.group_leakage", group_leakage.group_leakage),
    ("preprocessing.temporal_leakage", temporal_leakage.temporal_leakage),
    ("preprocessing.duplicates", duplicates.duplicates),
    ("preprocessing.prior_shift", prior_shift.prior_shift),
    ("preprocessing.distribution_shift", distribution_shift.distribution_shift),
    ("preprocessing.outliers", outliers.outliers),
    ("preprocessing.label_noise", label_noise.label_noise),
    ("preprocessing.unshuffled", unshuffled.unshuffled),
)

SUSPECTS: tuple[tuple[str, Suspect], ...] = (
    (missing_values.CODE, missing_values.suspect),
    (sentinel_values.CODE, sentinel_values.suspect),
    (feature_order.CODE, feature_order.suspect),
    (constant_feature.CODE, constant_feature.suspect),
    (dtype_mismatch.CODE, dtype_mismatch.suspect),
    # a shift of whole-number codes is an affine map too: told by the more specific name
    (category_mismatch.CODE, category_mismatch.suspect),
    (image_geometry.CODE, image_geometry.suspect),
    (scaling_mismatch.CODE, scaling_mismatch.suspect),
    (label_encoding.CODE, label_encoding.suspect),
    (outliers.CODE, outliers.suspect),
)

# Code, the detector that repairs one split with the other as reference, and the one that repairs both alike.
WITNESSED: tuple[tuple[str, Suspect, Suspect], ...] = (
    (category_mismatch.CODE, category_mismatch.suspect, model_categories.suspect),
    (scaling_mismatch.CODE, scaling_mismatch.suspect, model_scale.suspect),
)


def selected(include: Sequence[str] | None, exclude: Sequence[str]) -> set[str]:
    """The codes that a request asks for; a family is written `metrics.*`.

    Raises:
        RequestError: a code or family that does not exist.
    """
    known = {code for code, _ in CHECKS}
    chosen = known if include is None else set().union(*(_matching(p, known, "include") for p in include))
    left = chosen - set().union(*(_matching(p, known, "exclude") for p in exclude))
    if not left:
        raise RequestError("no_checks_left", "checks.include and checks.exclude leave no check to run.", field="checks")
    return left


def _matching(pattern: str, known: set[str], field: str) -> set[str]:
    family = pattern.removesuffix(".*")
    found = {pattern} & known or {code for code in known if pattern.endswith(".*") and code.startswith(family + ".")}
    if not found:
        raise unknown_check(pattern, known, field)
    return found
