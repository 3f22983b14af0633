"""Identifiers, cursors, and what the engine stores."""

import time
from uuid import UUID

import pytest
from dbos import error as dbos_error

from schemas.problem import DataError, ProblemError
from service.jobs.engine import InfrastructureError
from service.jobs.errors import BadCursor
from service.jobs.identifiers import cursor_after, new_identifier, read_cursor
from service.jobs.serialization import JsonSerializer, problem_of, stored_problem


def test_identifiers_sort_by_time() -> None:
    """They are UUIDs of version 7, of the present, and never the same."""
    made = [new_identifier() for _ in range(1000)]

    assert len(set(made)) == 1000
    assert UUID(made[0]).version == 7
    assert UUID(made[0]).int >> 80 == pytest.approx(time.time() * 1000, abs=10_000)
    early = new_identifier()
    time.sleep(0.001)
    assert early < new_identifier()


def test_a_cursor_points_where_it_was_made() -> None:
    audit_id = new_identifier()

    assert read_cursor(cursor_after(audit_id)) == audit_id
    with pytest.raises(BadCursor):
        read_cursor(audit_id)


def test_values_survive_storage() -> None:
    stored = JsonSerializer().serialize({"args": ("an-audit",), "kwargs": {}})

    assert JsonSerializer().deserialize(stored) == {"args": ["an-audit"], "kwargs": {}}


def test_a_problem_survives_storage() -> None:
    """Whole: where it lies, too."""
    problem = DataError("label_missing", "No column 'y'.", field="data.label", file="a.csv", row=3, column="y")

    stored = JsonSerializer().serialize(problem)
    read = JsonSerializer().deserialize(stored)

    assert isinstance(read, ProblemError)
    assert read.problem == problem.problem
    assert stored_problem(stored) == problem.problem


def test_the_last_of_several_faults_is_shown() -> None:
    faults: list[Exception] = [InfrastructureError("worker_fault", text) for text in ("first", "last")]

    assert problem_of(dbos_error.DBOSMaxStepRetriesExceeded("evaluate", 2, faults)).detail == "last"


@pytest.mark.parametrize("text", [None, "", "{}", "[]", '{"problem": {}}', "gASVIAAAAAAAAAA="])
def test_what_cannot_be_read_is_our_fault(text: str | None) -> None:
    """Nothing that stands in the database is ever unpickled."""
    assert stored_problem(text).code == "internal_error"
