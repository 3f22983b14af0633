"""What uv.lock says: written down for each container image, and held against what is known to be vulnerable.

Usage: python -m scripts.dependencies sbom [--folder build/sbom]
       python -m scripts.dependencies audit

`sbom` writes a bill of materials a container image, as CycloneDX, and validates it. `audit` asks https://osv.dev and
ends with 0 where no locked package has a known vulnerability, with 1 where one has, and with 2 where nobody could be
asked: nothing is known then.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from gzip import decompress
from pathlib import Path
from typing import Any

import jsonschema
from referencing import Registry, Resource

from scripts.fetch_vendored import TESTS

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "sbom"
# Image -> what its stage of the Dockerfile hands to `uv sync`.
IMAGES: Mapping[str, tuple[str, ...]] = {
    "fitcheck-api": (),
    "fitcheck-worker-cpu": ("--extra", "cpu"),
    "fitcheck-worker-gpu": ("--extra", "gpu"),
}
SCHEMAS = ("bom-1.5.schema.json.gz", "jsf-0.82.schema.json.gz", "spdx.schema.json.gz")
FOUND, UNKNOWN = 1, 2  # exit codes of `uv audit`


class InvalidError(ValueError):
    """A bill of materials is no CycloneDX."""


def uv() -> Path:
    """The uv that made this environment, in the version of scripts/setup.sh.

    Raises:
        FileNotFoundError: saying what to do.
    """
    found = Path(sys.prefix).resolve().parent / ".uv/bin/uv"
    if not found.is_file():
        raise FileNotFoundError(f"{found} is not there: run `make setup`")
    return found


def bill_of_materials(image: str) -> dict[str, Any]:
    """What an image holds besides Python and its system, as CycloneDX 1.5.

    Raises:
        InvalidError: it does not follow the schema.
    """
    options = ("--frozen", "--no-dev", *IMAGES[image], "--format", "cyclonedx1.5", "--preview-features", "sbom-export")
    written = subprocess.run([uv(), "export", *options], cwd=ROOT, check=True, capture_output=True).stdout
    document: dict[str, Any] = json.loads(written)
    document["metadata"]["component"] |= {"type": "container", "name": image}
    if problems := list(problems_of(document)):
        raise InvalidError(f"{image}: {problems[0]}")
    return document


def problems_of(document: Mapping[str, Any]) -> Iterator[str]:
    """Where a document departs from the schema of CycloneDX."""
    for error in _validator().iter_errors(document):
        yield f"{error.json_path}: {error.message}"


@cache
def _validator() -> Any:
    bom, *others = (json.loads(decompress((TESTS / name).read_bytes())) for name in SCHEMAS)
    registry: Registry[Any] = Registry().with_resources(
        (schema["$id"], Resource.from_contents(schema)) for schema in others
    )
    return jsonschema.Draft7Validator(bom, registry=registry)


def write_bills(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for image in IMAGES:
        document = bill_of_materials(image)
        path = folder / f"{image}.cdx.json"
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        print(f"{path}: {len(document['components'])} packages")


def audit(options: Sequence[str] = ()) -> int:
    """Ask for known vulnerabilities of everything that is locked; see the module for the exit code.

    Args:
        options: further ones of `uv audit`.
    """
    command = [str(uv()), "audit", "--frozen", "--preview-features", "audit-command", *options]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code not in {0, FOUND}:
        print("Nothing is known of the dependencies: https://osv.dev could not be asked.", file=sys.stderr)
        return UNKNOWN
    return code


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.dependencies", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("sbom").add_argument("--folder", type=Path, default=FOLDER)
    commands.add_parser("audit")
    arguments = parser.parse_args()
    if arguments.command == "audit":
        return audit()
    write_bills(arguments.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
