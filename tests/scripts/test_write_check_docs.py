from audits.catalogue import entry
from scripts.write_check_docs import FOLDER, page, pages


def test_the_committed_pages_are_what_the_docstrings_say() -> None:
    """`make docs` brings them up to date."""
    committed = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")}
    wanted = pages()

    assert committed.keys() == wanted.keys()
    assert [name for name, text in wanted.items() if committed[name] != text] == []


def test_a_page_explains_the_check_and_lists_its_limits() -> None:
    text = page(entry("preprocessing.scaling_mismatch"))

    for heading in ("What it measures", "Why it matters", "When it is inconclusive", "How to fix", "Reference"):
        assert f"## {heading}\n\n" in text
    assert "| `min_scale_factor` | 1.2 |" in text
