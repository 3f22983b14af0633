"""Writes docs/openapi.json, the contract of the API, from its routes."""

import json
import sys
from pathlib import Path
from typing import cast

from service.api.app import create_app
from service.jobs.interface import Jobs
from service.settings import Settings

FILE = Path(__file__).parents[1] / "docs" / "openapi.json"


def document() -> str:
    """The OpenAPI document as text, the same for the same routes."""
    nobody = cast(Jobs, object())  # routes are described, none is called
    return json.dumps(create_app(Settings(), jobs=nobody).openapi(), indent=2, sort_keys=True) + "\n"


def main() -> int:
    FILE.write_text(document(), encoding="utf-8")
    print(f"docs/{FILE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
