"""The register of checks, and how a request selects among them."""

from pathlib import Path

import pytest

import audits.checks
from audits import diagnosis
from audits.diagnosis import ranking
from audits.registry import CHECKS, SUSPECTS, selected
from schemas.problem import RequestError

CODES = [code for code, _ in CHECKS]
FILES = [
    f"{file.parent.name}.{file.stem}"
    for file in Path(audits.checks.__path__[0]).glob("*/*.py")
    if not file.name.startswith("_")
]


def test_every_check_is_registered_once_under_the_name_of_its_file():
    assert sorted(CODES) == sorted(FILES)
    assert [check.__name__ for _, check in CHECKS] == [code.partition(".")[2] for code in CODES]


def test_every_suspect_belongs_to_a_check():
    codes = [code for code, _ in SUSPECTS]

    assert set(codes) <= set(CODES)
    assert len(set(codes)) == len(codes)


def test_every_check_has_a_place_among_the_causes():
    """By its place in the order, or by what its repair brings back; capacity alone is never a cause."""
    by_repair = {*(code for code, _ in SUSPECTS), "metrics.decision_threshold"}

    assert set(CODES) - by_repair - {"overfitting.excess_capacity"} <= set(ranking.ORDER) <= set(CODES)
    assert {code for told, by in diagnosis.TOLD_BY.items() for code in (told, *by)} <= set(CODES)


def test_without_wishes_all_are_run():
    assert selected(None, []) == set(CODES)


def test_codes_and_families_are_included_and_excluded():
    metrics = {code for code in CODES if code.startswith("metrics.")}

    assert selected(["metrics.*"], []) == metrics
    assert selected(["metrics.*", "preprocessing.outliers"], ["metrics.weak_model"]) == metrics - {
        "metrics.weak_model"
    } | {"preprocessing.outliers"}
    assert selected(None, ["metrics.*"]) == set(CODES) - metrics


@pytest.mark.parametrize(("include", "exclude"), [([], []), (None, ["metrics.*", "preprocessing.*", "overfitting.*"])])
def test_an_audit_without_checks_is_refused(include: list[str] | None, exclude: list[str]):
    """Silence of checks that did not run would read as an acquittal."""
    with pytest.raises(RequestError) as refused:
        selected(include, exclude)

    assert (refused.value.code, refused.value.field) == ("no_checks_left", "checks")


@pytest.mark.parametrize("wish", ["metrics", "metrics.", "metrics.accuracy", "*", "nonsense.*", ""])
def test_what_names_no_check_is_refused(wish: str):
    with pytest.raises(RequestError) as included:
        selected([wish], [])
    with pytest.raises(RequestError) as excluded:
        selected(None, [wish])

    assert (included.value.code, included.value.field) == ("unknown_check", "checks.include")
    assert excluded.value.field == "checks.exclude"
