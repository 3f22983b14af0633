"""Writes docs/report.schema.json, the JSON Schema of the report, from its types."""

import json
import sys
from pathlib import Path
from typing import Any

from schemas.report import SCHEMA_VERSION, Report

FILE = Path(__file__).parents[1] / "docs" / "report.schema.json"


def document() -> str:
    """The schema as text, the same for the same types."""
    schema = Report.model_json_schema(mode="serialization")
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:fitcheck:report:{SCHEMA_VERSION}",
        "$comment": "docs/report.md says how it may change.",
    }
    return json.dumps(head | _open(schema), indent=2, sort_keys=True) + "\n"


def _open(schema: dict[str, Any]) -> dict[str, Any]:
    """Without the ban on further fields: a reader of this version must accept those of later ones."""
    for part in (schema, *schema["$defs"].values()):
        if "properties" in part:
            part.pop("additionalProperties", None)
    return schema


def main() -> int:
    FILE.write_text(document(), encoding="utf-8")
    print(f"docs/{FILE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
