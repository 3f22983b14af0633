"""Fetches the files of other projects that stand in this tree, and verifies them by their hashes.

`--check` verifies what is there, without a network. A new version: change it here, run, read what changed, and write
down the hashes that it prints.
"""

import argparse
import gzip
import hashlib
import io
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "service" / "pages" / "static" / "vendor"
TESTS = ROOT / "tests" / "vendor"
REGISTRY = "https://registry.npmjs.org/{package}/-/{package}-{version}.tgz"
# OASIS' schema of SARIF as Microsoft publishes it.
SARIF = "https://registry.npmjs.org/@microsoft/jest-sarif/-/jest-sarif-1.0.0-beta.0.tgz"

CYCLONEDX = "https://registry.npmjs.org/@cyclonedx/cyclonedx-library/-/cyclonedx-library-10.3.0.tgz"


@dataclass(frozen=True)
class Vendored:
    """One file.

    Attributes:
        source: the npm package and its version, or the address of a package.
        member: path inside the package.
        target: where it stands here; with the suffix .gz it is kept compressed.
        sha256: of the file as published.
    """

    source: str
    member: str
    target: Path
    sha256: str

    @property
    def url(self) -> str:
        if self.source.startswith("https:"):
            return self.source
        package, _, version = self.source.rpartition("@")
        return REGISTRY.format(package=package, version=version)

    def kept(self) -> bytes:
        """What stands in the tree, as published.

        Raises:
            OSError: it is not there.
        """
        content = self.target.read_bytes()
        return gzip.decompress(content) if self.target.suffix == ".gz" else content

    def keep(self, content: bytes) -> None:
        self.target.parent.mkdir(parents=True, exist_ok=True)
        packed = gzip.compress(content, mtime=0) if self.target.suffix == ".gz" else content
        self.target.write_bytes(packed)


def _vega(source: str, member: str, name: str, sha256: str) -> Vendored:
    return Vendored(source, member, PAGES / name, sha256)


VENDORED = (
    _vega(
        "vega@6.2.0",
        "build/vega.min.js",
        "vega.min.js",
        "ea6a5936381d06f912466354e2b6a20eb66c4d41f1ca9dff1e0236dfee6ee392",
    ),
    _vega(
        "vega@6.2.0", "LICENSE", "LICENSE.vega.txt", "63727832aaf62004a2b249c933e327f3c90caf49e41a72f4bf436edf632cbda8"
    ),
    _vega(
        "vega-lite@6.4.1",
        "build/vega-lite.min.js",
        "vega-lite.min.js",
        "6d5035fdd429b4bc6f91f3754426c3f516f3dbd8e08b105cfc2496bed4ebd254",
    ),
    _vega(
        "vega-lite@6.4.1",
        "LICENSE",
        "LICENSE.vega-lite.txt",
        "f618900fd0d64046963b29f40590cdd1e341a2f41449f99110d82fd81fea808c",
    ),
    _vega(
        "vega-embed@7.3.0",
        "build/vega-embed.min.js",
        "vega-embed.min.js",
        "b1455caba2fb1a72fb46025ba0ba1316e2dbc7f0dd40a3f6040172bf9c08ba91",
    ),
    _vega(
        "vega-embed@7.3.0",
        "LICENSE",
        "LICENSE.vega-embed.txt",
        "32df67148f0fc3db0eb9e263a7b75d07f1eb14c61955005a4a39c6918d10d137",
    ),
    Vendored(
        "vega-lite@6.4.1",
        "build/vega-lite-schema.json",
        TESTS / "vega-lite-schema.json.gz",
        "4f11cd379b7cac0ddee17eefea84c028bd41619ace28778acf843c009e43abd2",
    ),
    Vendored(
        "axe-core@4.14.1",
        "axe.min.js",
        TESTS / "axe.min.js.gz",
        "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c",
    ),
    Vendored(
        "axe-core@4.14.1",
        "LICENSE",
        TESTS / "LICENSE.axe-core.txt",
        "af175b9d96ee93c21a036152e1b905b0b95304d4ae8c2c921c7609100ba8df7e",
    ),
    Vendored(
        SARIF,
        "lib/schemas/sarif-2.1.0-rtm.5.json",
        TESTS / "sarif-schema-2.1.0.json.gz",
        "2d99159ae54a3eea97f81781cff48780548657c35949f4b7f25e99a2ba4de4f8",
    ),
    Vendored(
        CYCLONEDX,
        "res/schema/bom-1.5.SNAPSHOT.schema.json",
        TESTS / "bom-1.5.schema.json.gz",
        "7e88444a06e0924f13dc3833cda313872c772763b47a4e1ac55e77992b8f0a44",
    ),
    Vendored(
        CYCLONEDX,
        "res/schema/jsf-0.82.SNAPSHOT.schema.json",
        TESTS / "jsf-0.82.schema.json.gz",
        "8bae002c25e723db7ee1f26afde680ae1a2b1a8f6b4b4b0fd65dc3becb090aae",
    ),
    Vendored(
        CYCLONEDX,
        "res/schema/spdx.SNAPSHOT.schema.json",
        TESTS / "spdx.schema.json.gz",
        "4b345e2329f209f34e960ae2a8e7cb46a166907e6a45e94978565925dc47b359",
    ),
    Vendored(
        CYCLONEDX,
        "LICENSE",
        TESTS / "LICENSE.cyclonedx.txt",
        "c71d239df91726fc519c6eb72d318ec65820627232b2f796219e87dcf35d0ab4",
    ),
)


def wrong_files() -> list[str]:
    """Files that are missing or are not what was published, with their hash."""
    told = []
    for one in VENDORED:
        try:
            found = hashlib.sha256(one.kept()).hexdigest()
        except OSError:
            found = "missing"
        if found != one.sha256:
            told.append(f"{one.target.relative_to(ROOT)}: {found}")
    return told


def fetch() -> None:
    """Download each source once and keep its files; nothing is kept that has another hash."""
    packages: dict[str, bytes] = {}
    for one in VENDORED:
        if one.url not in packages:
            answer = httpx.get(one.url, follow_redirects=True, timeout=60).raise_for_status()
            packages[one.url] = answer.content
        content = _member(packages[one.url], one.member)
        found = hashlib.sha256(content).hexdigest()
        if found != one.sha256:
            raise SystemExit(f"{one.url} {one.member}: sha256 is {found}, not {one.sha256}; nothing was kept of it")
        one.keep(content)
        print(one.target.relative_to(ROOT))


def _member(archive: bytes, member: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(archive)) as package:
        found = package.extractfile(f"package/{member}")
        if found is None:
            raise SystemExit(f"the package holds no {member}")
        return found.read()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.fetch_vendored", description=__doc__)
    parser.add_argument("--check", action="store_true", help="verify the files that are here, and fetch nothing")
    if not parser.parse_args().check:
        fetch()
    wrong = wrong_files()
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
