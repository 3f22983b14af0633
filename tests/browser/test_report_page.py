"""The report in a browser: every figure drawn, nothing fetched, nothing wrong, for everybody, on every screen."""

import gzip
import itertools
import json
from pathlib import Path

import pytest

from service.pages.report_page import report_page
from tests.service.cli.reports import whole_report
from tests.service.pages.hostile import HOSTILE, hostile_report
from tests.service.pages.large import large_report

AXE = Path(__file__).parents[1] / "vendor" / "axe.min.js.gz"
REPORTS = {"whole": whole_report, "hostile": hostile_report, "large": large_report}
PHONE, DESKTOP = 390, 1280
VIEWS = list(itertools.product(("light", "dark"), (PHONE, DESKTOP)))
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    for name, make in REPORTS.items():
        (folder / f"{name}.html").write_text(report_page(make()).html, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in REPORTS}


class Opened:
    """A page in the browser, with everything that it said and asked for."""

    def __init__(self, browser, file: Path, scheme: str = "light", width: int = DESKTOP, **options) -> None:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=False, **options
        )
        self.page = context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *_: object) -> None:
        self.page.context.close()

    def ready(self) -> "Opened":
        self.page.wait_for_selector("html[data-ready]", state="attached", timeout=120_000)
        return self


@pytest.mark.parametrize("name", REPORTS)
def test_every_figure_is_drawn_and_nothing_is_fetched(browser, files, name):
    with Opened(browser, files[name]).ready() as opened:
        figures, drawn = (
            opened.page.locator(found).count()
            for found in ("[data-figure]", "[data-figure][data-drawn] svg .mark-group")
        )
        assert opened.said == []
        assert [url for url in opened.asked if not url.startswith(("file:", "data:"))] == []
        assert opened.page.locator("[data-drawn]").count() == figures
        assert drawn >= figures


@pytest.mark.parametrize(("scheme", "width"), VIEWS)
@pytest.mark.parametrize("name", REPORTS)
def test_everybody_can_use_it(browser, files, name, scheme, width):
    """axe-core finds no violation, with all parts open."""
    with Opened(browser, files[name], scheme, width).ready() as opened:
        opened.page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
        opened.page.evaluate(gzip.decompress(AXE.read_bytes()).decode())
        found = opened.page.evaluate(
            "standards => axe.run({runOnly: standards}).then(result => result.violations)", STANDARDS
        )
        assert not found, json.dumps(
            [(one["id"], one["help"], [node["html"][:150] for node in one["nodes"][:3]]) for one in found], indent=1
        )


@pytest.mark.parametrize(("scheme", "width"), VIEWS)
@pytest.mark.parametrize("name", REPORTS)
def test_nothing_is_wider_than_the_screen(browser, files, name, scheme, width):
    with Opened(browser, files[name], scheme, width).ready() as opened:
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= width


def test_hostile_names_are_shown_as_they_are(browser, files):
    with Opened(browser, files["hostile"]).ready() as opened:
        assert opened.page.locator("h1").inner_text() == HOSTILE
        assert opened.page.locator("img").count() == 0


def test_code_is_copied_with_the_keyboard_alone(browser, files):
    """In place of the clipboard, which a headless browser has none of, what would be written to it."""
    with Opened(browser, files["whole"]).ready() as opened:
        opened.page.evaluate("navigator.clipboard.writeText = async text => { window.copied = text }")
        opened.page.locator("[data-copies]").first.focus()
        opened.page.keyboard.press("Enter")
        opened.page.wait_for_function("window.copied")
        assert opened.page.evaluate("window.copied") == "scaler = StandardScaler().fit(train)"


def test_without_scripts_the_numbers_are_there(browser, files):
    with Opened(browser, files["hostile"], java_script_enabled=False) as opened:
        opened.page.locator("figure summary").first.click()
        assert opened.page.locator("figure table").first.is_visible()


def test_a_large_report_opens_fast(browser, files):
    """All thirty figures within a quarter of a minute, on a machine that does other things too."""
    with Opened(browser, files["large"]).ready() as opened:
        assert opened.page.evaluate("performance.now()") < 15_000


def test_it_prints(browser, files):
    with Opened(browser, files["whole"]).ready() as opened:
        assert opened.page.pdf().startswith(b"%PDF")
