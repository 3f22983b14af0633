"""What single figures show, held against the evidence that they are drawn from."""

import re
from dataclasses import replace

import numpy as np
import pytest

from audits.evidence.labels import UNKNOWN
from audits.figures.confusion import confusion
from audits.figures.copies import copies
from audits.figures.missing import missing_map, missing_shares
from audits.figures.proof import proof
from audits.figures.segments import segments
from audits.figures.spec import plain, short, ticks, told_apart
from audits.figures.thumbnails import thumbnails
from audits.figures.waterfall import waterfall
from schemas.report import Confirmation, Gap, GapTerm
from tests import factories
from tests.audits.figures.cases import drawn, figure_of, values
from tests.service.cli.reports import finding


def gap(*terms: tuple[str, float], reference: float = 0.9) -> Gap:
    lost = sum(value for _, value in terms)
    return Gap(
        metric="balanced_accuracy",
        reference=reference,
        validation=reference - lost,
        gap=lost,
        terms=[GapTerm(kind=kind, estimate=value) for kind, value in terms],
    )


def test_a_waterfall_leads_from_training_to_validation_without_a_jump():
    rows = values(waterfall(gap(("repaired_fault", 0.3), ("contamination", -0.05), ("unexplained", 0.02))))

    assert rows[0]["cause"] == "Training"
    assert [row["from"] for row in rows[1:]] == pytest.approx([row["to"] for row in rows[:-1]])
    assert rows[-1]["to"] == pytest.approx(0.63)
    assert [row["role"] for row in rows] == ["total", "lost", "hidden", "unexplained", "total"]


def test_a_waterfall_of_no_gap_is_not_drawn():
    assert waterfall(gap(("unexplained", 0.0))) is None


def test_two_repaired_faults_of_one_name_stay_two_lines():
    """Bars of one name would be drawn upon each other."""
    rows = values(waterfall(gap(("leakage", 0.1), ("leakage", 0.2))))

    assert len({row["cause"] for row in rows}) == len(rows)


def confirmation(**changes) -> Confirmation:
    told = {"confirmed": True, "intervention": "mend it", "metric": "balanced_accuracy", "before": 0.5, "after": 0.9}
    return Confirmation(**{**told, "gain_interval": (0.3, 0.5), "placebo_gain": 0.1, **changes})


def test_a_proof_shows_the_interval_and_the_placebo_where_the_metric_would_be():
    before, placebo, after = values(proof(confirmation()))

    assert before["value"] == 0.5
    assert placebo["value"] == pytest.approx(0.6)
    assert (after["low"], after["high"]) == pytest.approx((0.8, 1.0))


def test_a_gain_in_a_loss_is_drawn_downwards():
    """A log loss that falls from 2 to 0.5 gains 1.5: the interval lies around 0.5, not around 3.5."""
    fall = {"metric": "log_loss", "higher_is_better": False, "before": 2.0, "after": 0.5}
    shown = values(proof(confirmation(**fall, gain_interval=(1.2, 1.8), placebo_gain=0.2)))

    assert shown[1]["value"] == pytest.approx(1.8)
    assert (shown[2]["low"], shown[2]["high"]) == pytest.approx((0.2, 0.8))


def test_an_interval_around_nought_keeps_its_direction():
    """Most of it lies below 0, the gain itself above."""
    shown = values(proof(confirmation(before=0.5, after=0.52, gain_interval=(-0.1, 0.04), placebo_gain=0.01)))

    assert shown[1]["value"] == pytest.approx(0.51)
    assert (shown[2]["low"], shown[2]["high"]) == pytest.approx((0.4, 0.54))


def test_no_proof_is_drawn_where_nothing_was_run_again():
    """As where the confirmation is the range of a metric over new draws of the rows."""
    assert proof(confirmation(by_exclusion=True)) is None
    assert proof(confirmation(gain_interval=None, placebo_gain=None)) is None


@pytest.mark.parametrize(
    ("values_", "expected"),
    [
        ([0.5, 0.989], [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
        ([0.0, 1.0], [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        ([-64.75, 0.53], [-80, -60, -40, -20, 0, 20]),
        ([0.967, 0.984], [0.965, 0.97, 0.975, 0.98, 0.985]),
        ([0.7, 0.7], [0.7]),
    ],
)
def test_ticks_are_round_and_end_with_the_values(values_: list[float], expected: list[float]):
    assert ticks(values_) == pytest.approx(expected)


def test_a_confusion_matrix_counts_every_row_of_the_split_once():
    submitted = drawn("classes")[0]
    known = submitted.validation.labels != UNKNOWN

    rows = values(figure_of("classes", "confusion"))

    assert sum(row["rows"] for row in rows) == known.sum()


def test_of_many_classes_those_with_most_errors_are_shown_and_none_is_lost():
    case = factories.case("multiclass", classes=40, n_train=2_000, n_validation=900, signal=0.3)

    rows = values(confusion(case))

    assert len(rows) <= 21 * 20
    assert sum(row["rows"] for row in rows) == case.validation.n
    assert "all others" in {row["truth"] for row in rows}


@pytest.mark.parametrize(
    ("case", "kind"),
    [("classes", "confusion"), ("holes", "scores"), ("holes", "class_shares"), ("holes", "precision_recall")],
)
def test_a_class_is_called_one_in_a_title(case: str, kind: str):
    """Its name is often a bare number."""
    assert re.search(r"\bclass \S", figure_of(case, kind).title)


def test_a_roc_curve_rises_from_one_corner_to_the_other():
    rows = [row for row in values(figure_of("scaled", "roc")) if row["split"] == "training"]

    assert (rows[0]["false"], rows[0]["true"]) == (0, 0)
    assert (rows[-1]["false"], rows[-1]["true"]) == (1, 1)
    assert all(np.diff([row["true"] for row in rows]) >= 0)
    assert len(rows) <= 100


def test_scores_of_each_class_sum_to_all_of_it():
    rows = values(figure_of("holes", "scores"))

    for name in {row["class"] for row in rows}:
        assert sum(row["share"] for row in rows if row["class"] == name) == pytest.approx(1, abs=1e-3)


def test_a_calibrated_model_lies_within_chance():
    """The healthy model's frequencies leave the consistency bands no more often than chance makes them."""
    shown = values(figure_of("copied", "reliability"))

    assert sum(row["by chance"] == "beyond chance" for row in shown) <= 2
    assert all(row["low"] <= row["confidence"] <= row["high"] for row in shown)


def test_quantiles_show_the_repair_as_a_line_onto_the_training_values():
    """Validation is 100 times and 5 deviations off; the line leads back."""
    figure = figure_of("scaled", "quantiles")
    lines = [layer for layer in figure.vega_lite["layer"] if "color" in layer["encoding"] and "data" in layer]

    pairs = lines[0]["data"]["values"]
    points = values(figure)
    slope = (pairs[-1]["training"] - pairs[0]["training"]) / (pairs[-1]["validation"] - pairs[0]["validation"])
    raw = (points[-1]["training"] - points[0]["training"]) / (points[-1]["validation"] - points[0]["validation"])
    assert slope == pytest.approx(raw, rel=0.3)
    assert len(pairs) <= 41


def test_missing_values_are_counted_in_both_splits():
    submitted = drawn("holes")[0]
    shares = {(row["column"], row["split"]): row["share"] for row in values(missing_shares(submitted))}

    assert shares["c0", "validation"] == pytest.approx(0.3, abs=0.08)
    assert shares["c0", "training"] == 0


def test_a_map_of_missing_values_stays_small_with_many_columns():
    case = factories.case(columns=40, n_validation=500, fault=factories.holes(0.2, tuple(range(40))))

    rows = values(missing_map(case))

    assert len(rows) <= 2_000
    assert len({row["column"] for row in rows}) == 20


def test_copies_stand_beside_what_they_repeat():
    rows = values(copies(drawn("copied")[0]))

    cells = {}
    for row in rows:
        cells.setdefault(row["row"], []).append(row["value"])
    lines = list(cells.values())
    assert len(lines) == 10
    assert lines[0::2] == lines[1::2]


def test_thumbnails_are_pictures_inside_the_figure():
    rows = values(figure_of("images", "thumbnails"))

    assert {row["line"] for row in rows} == {"training", "validation", "repaired"}
    assert all(row["image"].startswith("data:image/png;base64,") for row in rows)


def test_thumbnails_of_channels_that_come_first_are_the_same_pictures():
    parts = factories.splits(layout="image", channels=3, n_train=30, n_validation=30)
    turned = [replace(part, x=np.moveaxis(part.x, -1, 1)) for part in parts]

    def pictures(train: factories.Part, validation: factories.Part) -> list[str]:
        one = factories.case_of(train, validation, lambda m: np.full(len(m), 0.5))
        return [row["image"] for row in values(thumbnails(one))]

    assert len(pictures(*parts)) == 12
    assert pictures(*turned) == pictures(*parts)


def test_residuals_are_drawn_from_a_sample():
    figure = figure_of("quantities", "residuals")

    assert len(values(figure)) <= 200
    assert "rows drawn" in figure.title


def node(rule: str, depth: int, rows: int, estimate: float, rank: int | None = None) -> dict:
    interval = [estimate - 0.1, estimate + 0.1]
    return {"rule": rule, "depth": depth, "rows": rows, "estimate": estimate, "interval": interval, "rank": rank}


def test_a_segment_is_a_branch_of_the_tree_of_all_rows():
    """Each node with its rows; what is known of a simple learner stands beside the worst segment."""
    tree = [
        node("all rows", 0, 400, 0.8),
        node("age >= 60", 1, 150, 0.7, rank=2),
        node("income < 3", 2, 50, 0.5, rank=1),
        node("city is 'x'", 2, 20, 0.6, rank=3),
        node("income >= 9", 1, 30, 0.6, rank=4),
    ]
    evidence = {
        "segment": "age >= 60 and income < 3",
        "measure": "share of right answers",
        "inside": {"estimate": 0.5, "interval": [0.4, 0.6]},
        "outside": {"estimate": 0.9, "interval": [0.8, 1.0]},
        "simple_learner_inside": {"estimate": 0.85, "interval": [0.8, 0.9]},
        "tree": tree,
    }
    shown = segments(finding("metrics.weak_segment").model_copy(update={"evidence": evidence}))
    rows = values(shown)

    assert shown.title == "Where age >= 60 and income < 3, the model reaches 0.50; elsewhere 0.90"
    assert [(row["where"], row["estimate"]) for row in rows if row["who"] != "simple learner"] == [
        ("all rows (n 400)", 0.8),
        ("├ age >= 60 (n 150)", 0.7),
        ("│ ├ income < 3 (n 50)", 0.5),
        ("│ └ city is 'x' (n 20)", 0.6),
        ("├ income >= 9 (n 30)", 0.6),
        ("└ elsewhere (n 350)", 0.9),
    ]
    assert [(row["rule"], row["estimate"]) for row in rows if row["who"] == "simple learner"] == [("income < 3", 0.85)]


def test_what_is_not_finite_becomes_null():
    assert plain(float("nan")) is None
    assert plain(np.float64(0.123456789)) == 0.12346


def test_long_names_keep_their_ends_and_stay_apart():
    first, second = told_apart(["x" * 60 + "a", "x" * 60 + "a"])

    assert first != second
    assert short("sensor_" * 20 + "_42").endswith("_42")
