from pathlib import Path

from benchmarks.document import write_between
from benchmarks.shards import Line, table

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def test_speed_ups_are_over_the_first_way_of_the_same_rows():
    lines = [
        Line(1000, "1 here", 2.0, 6.0, is_same=True),
        Line(1000, "2 here", 1.0, 5.0, is_same=True),
        Line(9000, "1 here", 30.0, 33.0, is_same=True),
        Line(9000, "2 here", 20.0, 22.0, is_same=False),
    ]

    rows = table(lines).splitlines()[-4:]

    assert rows == [
        "| 1,000 | 1 here | 2.0 | 1.00 | 6.0 | 1.00 | yes |",
        "| 1,000 | 2 here | 1.0 | 2.00 | 5.0 | 1.20 | yes |",
        "| 9,000 | 1 here | 30.0 | 1.00 | 33.0 | 1.00 | yes |",
        "| 9,000 | 2 here | 20.0 | 1.50 | 22.0 | 1.50 | **no** |",
    ]


def test_the_document_has_a_place_for_the_table(tmp_path: Path):
    copy = tmp_path / "benchmarks.md"
    copy.write_text(DOCUMENT.read_text(encoding="utf-8"), encoding="utf-8")

    write_between(copy, "shards", "here")

    assert "here\n<!-- shards: end -->" in copy.read_text(encoding="utf-8")
