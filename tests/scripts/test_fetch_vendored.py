"""Files of other projects in this tree."""

from scripts.fetch_vendored import PAGES, TESTS, VENDORED, wrong_files


def test_each_is_the_file_that_was_published() -> None:
    assert wrong_files() == []


def test_nothing_stands_beside_them_that_nobody_verifies() -> None:
    known = {one.target for one in VENDORED}

    assert {file for folder in (PAGES, TESTS) for file in folder.iterdir() if file.name != "README.md"} == known


def test_a_changed_file_is_told(tmp_path, monkeypatch) -> None:
    changed = tmp_path / "vega.min.js"
    changed.write_text("evil()", encoding="utf-8")
    one = type(VENDORED[0])(VENDORED[0].source, VENDORED[0].member, changed, VENDORED[0].sha256)
    monkeypatch.setattr("scripts.fetch_vendored.VENDORED", (one,))
    monkeypatch.setattr("scripts.fetch_vendored.ROOT", tmp_path)

    assert wrong_files()[0].startswith("vega.min.js: ")
