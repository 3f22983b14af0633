"""Errors are told in words that cannot quote a file."""

import pytest

from audits.models.telling import telling


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "Graph execution error:\n\nMatrix size-incompatible: In[0]: [2,9], In[1]: [3,1]\n\t [[{{node a/MatMul}}]]",
            "Matrix size-incompatible: In[0]: [2,9], In[1]: [3,1] (node 'a/MatMul').",
        ),
        ("indices[0,3] = 12 is not in [0, 10)", "indices[0,3] = 12 is not in [0, 10)."),
        (
            "Wrong vocabulary format at line: root:x:0:0:root:/root:/bin/bash",
            "ValueError; the operator's log has the whole text.",
        ),
        (
            "assertion failed: [secret] [[{{node n\x1b}}]]",
            "ValueError (node 'n\\x1b'); the operator's log has the whole text.",
        ),
        ("[[{{node é}}]]", "ValueError (node '\\xe9'); the operator's log has the whole text."),
    ],
)
def test_known_forms_alone_are_quoted(text: str, told: str) -> None:
    assert telling(ValueError(text)) == told


def test_the_operator_reads_it_all(capfd: pytest.CaptureFixture[str]) -> None:
    telling(ValueError("root:x:0:0"))

    assert "root:x:0:0" in capfd.readouterr().err


def test_long_names_are_cut() -> None:
    assert len(telling(ValueError("[[{{node " + "a" * 300 + "}}]]"))) < 250
