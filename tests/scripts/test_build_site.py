"""The documentation site: whole, strict, and without anything from another host."""

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from scripts import build_site

ROOT = Path(__file__).parents[2]
FOREIGN = re.compile(r"(https?:)?//", re.IGNORECASE)


@pytest.fixture(scope="module")
def site() -> Path:
    """Built as `make site` builds it; a warning of mkdocs ends it."""
    done = subprocess.run(
        [sys.executable, "-m", "scripts.build_site"],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / "build" / "site"


class Loads(HTMLParser):
    """What a browser loads by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if tag in {"script", "img", "iframe", "source"} or (tag == "link" and told.get("rel") != "canonical"):
            self.addresses += [address for name in ("src", "href") if (address := told.get(name))]


def test_every_page_of_the_repository_is_in_it(site: Path):
    for _, page in build_site.pages():
        assert (site / page).with_suffix(".html").is_file() or (site / page).with_name("index.html").is_file(), page


def test_nothing_is_loaded_from_another_host(site: Path):
    for page in site.rglob("*.html"):
        loads = Loads()
        loads.feed(page.read_text("utf-8"))
        assert [address for address in loads.addresses if FOREIGN.match(address)] == [], page
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", style.read_text("utf-8")), style


def test_the_api_page_has_every_call_and_type(site: Path):
    text = (site / "api.html").read_text("utf-8")
    document = json.loads((ROOT / "docs" / "openapi.json").read_text("utf-8"))

    for path, calls in document["paths"].items():
        for method in calls:
            assert f"{method.upper()} {path}" in text
    for name in document["components"]["schemas"]:
        assert f'id="{name.lower()}"' in text


def test_a_link_that_leads_nowhere_ends_the_build(tmp_path: Path):
    page = ROOT / "docs" / "data.md"
    sources = {page: "data.md"}

    with pytest.raises(build_site.BrokenLinkError, match=r"nowhere\.md"):
        build_site.relinked("[x](nowhere.md)", page, sources, tmp_path)


def test_links_are_written_for_where_pages_come_to_lie(tmp_path: Path):
    sources = dict(build_site.pages())
    text = "[a](docs/data.md#tables) [b](https://x.test) [c](examples/imbalanced/README.md)\n```sh\n[d](e)\n```\n"
    told = build_site.relinked(text, ROOT / "README.md", sources, tmp_path)

    assert told == text.replace("docs/data.md", "data.md")
