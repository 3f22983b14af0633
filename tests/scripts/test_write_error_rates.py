"""The page on the method tells the rates that were measured last."""

from scripts.write_error_rates import BENCHMARKS, PAGE, page, rates


def test_the_page_is_as_the_benchmarks_say():
    text = PAGE.read_text("utf-8")

    assert page(text, BENCHMARKS.read_text("utf-8")) == text, "run `python -m scripts.write_error_rates`"


def test_the_rates_hold_false_alarms_and_finds():
    told = rates(BENCHMARKS.read_text("utf-8"))

    assert "healthy: false findings per audit" in told
    assert "faulty: first cause right" in told
