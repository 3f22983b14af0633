from benchmarks.auditing import Outcome
from benchmarks.cases import Truth
from benchmarks.peers.comparing import lines_of, table

OUTLIERS = Truth("preprocessing.outliers", (), ("metrics.weak_segment",), {})
HEALTHY = Truth(None, (), (), {})
TRUTHS = {"a": OUTLIERS, "b": HEALTHY}


def answer(*alarms: str, error: str | None = None, served: bool = True) -> dict[str, object]:
    return {"alarms": list(alarms), "error": error, "served": served, "seconds": 2.0}


def test_an_alarm_notices_more_than_it_names() -> None:
    (line,) = lines_of("deepchecks", {"a": answer("Feature Drift", "Weak Segments Performance")}, TRUTHS)
    assert line.noticed == [True]
    assert line.named == [False]
    assert line.false == [0]  # drift may come from outliers, and a weak segment is tolerated


def test_alarms_on_healthy_cases_are_counted() -> None:
    (line,) = lines_of("deepchecks", {"b": answer("Feature Drift", "Label Drift", "Model Inference Time")}, TRUTHS)
    assert line.healthy == [True]
    assert line.false == [2]  # how fast it is, is no fault of the catalogue


def test_levels_of_a_tool_are_told_apart() -> None:
    answers = {"a": answer("outlier"), "b": answer("label", "label (5 %)")}
    any_row, many_rows = lines_of("cleanlab", answers, TRUTHS)
    assert any_row.named == [True]
    assert many_rows.named == [False]
    assert any_row.healthy == many_rows.healthy == [True]


def test_what_a_tool_does_not_serve_is_not_held_against_it() -> None:
    (line,) = lines_of("skore", {"a": answer(served=False), "b": answer(error="ValueError: no")}, TRUTHS)
    assert (line.not_served, line.errors, line.noticed, line.healthy) == (1, 1, [], [])
    assert "| skore | 0 | - | - | 0 | - | - | - | 1 | 1 |" in table([line])


def test_ours_is_measured_by_the_same_rule() -> None:
    found = Outcome("fail", ("preprocessing.outliers",), ("metrics.weak_model", "preprocessing.outliers"), (), 1.0)
    (line,) = lines_of("fitcheck", {"a": found, "b": Outcome("pass", (), (), (), 1.0)}, TRUTHS)
    assert (line.noticed, line.named, line.healthy, line.false) == ([True], [False], [False], [1, 0])
