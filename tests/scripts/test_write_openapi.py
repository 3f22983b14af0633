import json

from scripts.write_openapi import FILE, document


def test_the_committed_document_describes_the_routes() -> None:
    """`make openapi` brings it up to date."""
    assert json.loads(FILE.read_text(encoding="utf-8")) == json.loads(document())
