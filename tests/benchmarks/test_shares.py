import math
from xml.etree import ElementTree

import pytest

from benchmarks.charts import Line, draw
from benchmarks.document import rows_of, write_between
from benchmarks.shares import Share


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [(0, 10, 0.0, 0.2775), (3, 10, 0.1078, 0.6032), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_intervals_are_those_of_the_published_formula(hits: int, trials: int, low: float, high: float) -> None:
    """81 of 263: the example of Newcombe 1998, table I, method 3."""
    assert Share(hits, trials).interval() == pytest.approx((low, high), abs=1e-4)


def test_no_trials_tell_nothing() -> None:
    assert math.isnan(Share(0, 0).estimate)
    assert Share(0, 0).interval() == (0.0, 1.0)
    assert str(Share(0, 0)) == "-"


def test_a_chart_is_an_svg_with_a_dot_for_each_share_that_was_tried() -> None:
    lines = [Line("a & b", [Share(1, 2), Share(0, 0), Share(3, 3)])]
    root = ElementTree.fromstring(draw("Title <1>", "rows", ["50", "100", "200"], lines))
    assert len(root.findall("{http://www.w3.org/2000/svg}circle")) == 2
    assert draw("t", "x", ["1"], []) == draw("t", "x", ["1"], [])


def test_content_is_replaced_between_its_own_marks_alone(tmp_path) -> None:
    document = tmp_path / "d.md"
    document.write_text("a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n<!-- y: begin -->\nkept\n<!-- y: end -->\n")
    write_between(document, "x", rows_of(("h",), [(1,)]))
    write_between(document, "x", rows_of(("h",), [(2,)]))
    assert document.read_text() == (
        "a\n<!-- x: begin -->\n| h |\n| --- |\n| 2 |\n<!-- x: end -->\nb\n<!-- y: begin -->\nkept\n<!-- y: end -->\n"
    )
    with pytest.raises(SystemExit, match="no marks"):
        write_between(document, "z", "")
