from dataclasses import replace
from pathlib import Path

from benchmarks.acceptance import plans, tables
from benchmarks.acceptance.records import Journal, Record
from benchmarks.acceptance.running import wanted
from benchmarks.auditing import Outcome
from benchmarks.cases import Plan, Truth

SEED = 3
EVIDENCE = {"train": 0.9, "validation": 0.8, "without_fault": 0.9}


def record(plan: Plan, causes: tuple[str, ...] = ()) -> Record:
    code = None if plan.fault is None else "preprocessing.outliers"
    truth = Truth(code, (), ("metrics.small_validation",), EVIDENCE)
    return Record(plan, truth, Outcome("pass", causes, causes, causes, 1.0))


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, "these sources")
    todo = list(wanted(2, SEED, {}))
    done = record(todo[0], ("preprocessing.outliers",))
    journal.add(done)
    with path.open("a") as file:
        file.write('{"made_by": "these sou')  # killed while it wrote
    journal.add(record(todo[1]))
    known = journal.read()
    assert known[done.plan.name] == done
    assert list(known) == [todo[0].name, todo[1].name]
    assert [plan.name for plan in wanted(2, SEED, known)] == [todo[2].name, todo[3].name]


def test_results_of_other_sources_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path, "old sources").add(record(next(plans.healthy(SEED))))
    assert not Journal(path, "new sources").read()


def test_what_was_left_out_is_made_up_for() -> None:
    first = next(plans.healthy(SEED))
    known = {first.name: Record(first, None, None, "the control is not healthy")}
    healthy = [plan.number for plan in wanted(2, SEED, known) if plan.fault is None]
    assert healthy == [1, 2]


def test_tolerated_findings_are_no_false_alarms() -> None:
    plan = next(plans.healthy(SEED))
    assert not record(plan, ("metrics.small_validation",)).false_findings
    assert record(plan, ("preprocessing.outliers",)).false_causes == {"preprocessing.outliers"}


def test_the_place_of_the_right_cause_counts() -> None:
    plan = next(plans.faulty(SEED))
    third = record(plan, ("metrics.weak_model", "metrics.small_validation", "preprocessing.outliers"))
    assert not third.found_in_first(1)
    assert third.found_in_first(3)
    assert third.is_found
    assert third.false_findings == {"metrics.weak_model"}


def test_tables_and_charts_hold_what_was_counted(tmp_path: Path) -> None:
    healthy = [record(plan) for plan, _ in zip(plans.healthy(SEED), range(7), strict=False)]
    healthy[0] = replace(healthy[0], outcome=Outcome("warn", ("metrics.weak_model",), (), (), 1.0))
    faulty = [record(plan, ("preprocessing.outliers",)) for plan, _ in zip(plans.faulty(SEED), range(5), strict=False)]
    records = tables.counted(healthy + faulty, 5, SEED)
    content = tables.written(records, SEED)
    assert "5 healthy audits and 5 with one injected fault" in content
    assert "| healthy: false findings per audit | 0.200 | 20 % [4, 62] |" in content
    assert "| faulty: found |  | 100 % [57, 100] |" in content
    shown = tables.write_charts(records, tmp_path / "benchmarks")
    assert all((tmp_path / path.split(")")[0]).exists() for path in shown.split("](")[1:])
