"""Texts of models and data in Markdown."""

import pytest

from service.formats.markdown import escaped


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2Jb", r"a\\x1b\[2Jb"),
        ("gpj.\u202eexe", r"gpj.\\u202eexe"),
        ("\x07", r"\\x07"),
        ("grün 水", "grün 水"),
        ("<b>|", r"\<b\>\|"),
    ],
)
def test_nothing_is_markup_or_an_order_to_a_terminal(text: str, shown: str) -> None:
    assert escaped(text) == shown
