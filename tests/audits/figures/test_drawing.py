"""Every figure that a report may hold: a valid specification that can be drawn, small, and told in words."""

import gzip
import json
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from audits.figures import drawing
from audits.figures.drawing import draw
from schemas.report import Outcome
from tests.audits.figures.cases import CASES, HOSTILE, drawn, figure_of, figures_of, values

SCHEMA = Path(__file__).parents[2] / "vendor" / "vega-lite-schema.json.gz"
KINDS = {
    "waterfall",
    "proof",
    "loss_curves",
    "reliability",
    "confusion",
    "roc",
    "precision_recall",
    "scores",
    "quantiles",
    "missing_shares",
    "missing_map",
    "copies",
    "residuals",
    "thumbnails",
    "class_shares",
}


@pytest.fixture(scope="module")
def schema() -> Draft7Validator:
    return Draft7Validator(json.loads(gzip.decompress(SCHEMA.read_bytes())))


def test_the_cases_hold_every_kind():
    """But segments, which have a test of their own."""
    assert {figure.kind for name in CASES for figure in figures_of(name)} == KINDS


@pytest.mark.parametrize("name", CASES)
def test_every_figure_is_valid_vega_lite(name, schema):
    for figure in figures_of(name):
        errors = [f"{figure.kind}: {error.message[:300]}" for error in schema.iter_errors(figure.vega_lite)]
        assert not errors


@pytest.mark.parametrize("name", CASES)
def test_every_figure_can_be_drawn_from_itself_alone(name):
    """Vega draws it without a warning, and nothing is fetched."""
    vl_convert = pytest.importorskip("vl_convert")
    for figure in figures_of(name):
        svg = vl_convert.vegalite_to_svg(figure.vega_lite, vl_version="6.4", allowed_base_urls=[])
        assert "mark-group" in svg, figure.kind
        assert "NaN" not in svg, figure.kind


@pytest.mark.parametrize("name", CASES)
def test_figures_are_aggregates_and_told_in_words(name):
    for figure in figures_of(name):
        cells = len(values(figure)) * max(map(len, values(figure)), default=1)
        assert len(values(figure)) <= 2_000, figure.kind
        assert len(json.dumps(figure.vega_lite)) < 150_000, (figure.kind, cells)
        assert len(figure.title) > 15
        assert len(figure.alternative) > 15


def test_names_of_the_data_are_values_and_never_fields():
    """A class called `datum['x']` or `a.b[0]` would be read as an expression in the place of a field."""
    confusion = figure_of("classes", "confusion")

    assert {row["truth"] for row in values(confusion)} >= {HOSTILE, "a.b[0]", "datum['x']"}
    outside = {key: part for key, part in confusion.vega_lite.items() if key not in {"data", "description"}}
    assert "script" not in json.dumps(outside)


def test_a_figure_stands_with_the_finding_that_it_explains_and_nowhere_else():
    _, results, _, made = drawn("memorised")

    assert results["overfitting.overtraining"].outcome is Outcome.FAIL
    assert [figure.kind for figure in made.of["overfitting.overtraining"]][-1] == "loss_curves"
    assert "loss_curves" not in {figure.kind for figure in made.general}


def test_a_figure_that_cannot_be_drawn_costs_no_report(monkeypatch, caplog):
    submitted, results, gap, _ = drawn("scaled")

    def broken(case):
        raise ZeroDivisionError

    monkeypatch.setattr(drawing, "confusion", broken)
    made = draw(submitted, submitted, results, gap)

    assert "confusion" not in {figure.kind for figure in made.general}
    assert "roc" in {figure.kind for figure in made.general}
    assert "figure confusion could not be drawn" in caplog.text
