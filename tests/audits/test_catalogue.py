"""The catalogue is read from the docstrings of the checks, without importing them."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from audits.catalogue import CHECKS, UnknownFindingError, entries, entry, require_known
from schemas.limits import LIMITS
from schemas.problem import RequestError
from schemas.request import Checks

PAGE = '''"""Trees bark
at night.

What it measures: the volume of the bark,
    in decibels: always.
Why it matters: sleep.
When it is inconclusive: in a storm.
How to fix: a muzzle.
Reference: Oak, 1900
"""
raise RuntimeError("a catalogue that imports a check fails here")
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for family in ("overfitting", "metrics", "preprocessing"):
        (tmp_path / family).mkdir()
        (tmp_path / family / "__init__.py").write_text("")
    (tmp_path / "metrics" / "barking.py").write_text(PAGE)
    return tmp_path


def test_reads_the_headings_of_a_check_without_running_it(folder: Path):
    (found,) = entries(folder)

    assert found.model_dump() == {
        "code": "metrics.barking",
        "family": "metrics",
        "title": "Trees bark at night.",
        "measures": "the volume of the bark, in decibels: always.",
        "why": "sleep.",
        "inconclusive": "in a storm.",
        "fix": "a muzzle.",
        "reference": "Oak, 1900",
        "limits": [],
    }


def test_a_colon_inside_a_text_is_no_heading(folder: Path):
    page = PAGE.replace("sleep.", "the Reference: it is here.")
    (folder / "metrics" / "barking.py").write_text(page)

    assert entries(folder)[0].why == "the Reference: it is here."


@pytest.mark.parametrize("heading", ["Why it matters", "Reference"])
def test_a_check_without_a_heading_is_named(folder: Path, heading: str):
    (folder / "metrics" / "barking.py").write_text(PAGE.replace(heading, "Besides"))

    with pytest.raises(ValueError, match=rf"barking\.py: the docstring lacks .*{heading}"):
        entries(folder)


def test_a_check_without_a_docstring_is_named(folder: Path):
    (folder / "overfitting" / "silent.py").write_text("x = 1\n")

    with pytest.raises(ValueError, match=r"silent\.py"):
        entries(folder)


def test_helpers_with_an_underscore_are_no_findings(folder: Path):
    (folder / "metrics" / "_shared.py").write_text("x = 1\n")

    assert [e.code for e in entries(folder)] == ["metrics.barking"]


def test_families_come_in_the_order_of_the_report(folder: Path):
    for family in ("preprocessing", "overfitting"):
        (folder / family / "barking.py").write_text(PAGE)

    assert [e.family for e in entries(folder)] == ["overfitting", "metrics", "preprocessing"]


def test_every_check_of_the_product_is_documented():
    found = {e.code: e for e in entries()}

    assert set(LIMITS) <= set(found)
    assert len(found) == len([f for f in CHECKS.glob("*/*.py") if not f.name.startswith("_")])


def test_limits_come_with_their_defaults_and_descriptions():
    limits = {limit.name: limit for limit in entry("preprocessing.scaling_mismatch").limits}

    assert limits["min_rows"].default == 30
    assert "rows" in (limits["min_rows"].description or "")


def test_an_unknown_code_is_refused_with_the_way_to_the_list():
    with pytest.raises(UnknownFindingError, match="/v1/catalogue"):
        entry("metrics.nonsense")


@pytest.mark.parametrize(
    "selection", [{}, {"include": ["metrics.weak_model", "overfitting.*"], "exclude": ["metrics.*"]}]
)
def test_known_codes_and_families_may_be_selected(selection: dict):
    require_known(Checks(**selection))


@pytest.mark.parametrize("field", ["include", "exclude"])
@pytest.mark.parametrize("pattern", ["metrics.nonsense", "metrics", "*", "metrics.weak_model.*"])
def test_an_unknown_selection_is_refused_and_quoted(field: str, pattern: str):
    with pytest.raises(RequestError) as raised:
        require_known(Checks(**{field: ["metrics.*", pattern]}))

    assert raised.value.field == f"checks.{field}"
    assert repr(pattern) in raised.value.detail


def test_several_threads_may_read_at_once(folder: Path):
    """Python 3.11 fails where two threads parse at once."""
    for number in range(200):
        (folder / "metrics" / f"barking_{number}.py").write_text(PAGE)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: entries(folder), range(8)))

    assert len(found[0]) > 200
    assert all(one is found[0] for one in found)


def test_reading_the_catalogue_imports_no_statistics():
    code = (
        "import sys; from audits.catalogue import entries; assert entries();"
        "print([m for m in ('scipy', 'sklearn', 'pandas', 'tensorflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "[]"
