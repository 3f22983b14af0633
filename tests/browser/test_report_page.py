"""The report in a browser: every figure drawn, nothing fetched, nothing wrong, for everybody, on every screen."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.pages.report_page import report_page
from tests.browser.axe import violations, with_axe
from tests.service.cli.reports import whole_report
from tests.service.pages.hostile import HOSTILE, hostile_report
from tests.service.pages.large import large_report

REPORTS = {"whole": whole_report, "hostile": hostile_report, "large": large_report}
PHONE, DESKTOP = 390, 1280
VIEWS = list(itertools.product(("light", "dark"), (PHONE, DESKTOP)))
DRAW_MILLISECONDS = 120_000

pytestmark = pytest.mark.timeout(600)


class Opened:
    """A page in the browser, with everything that it said and asked for."""

    def __init__(self, browser, file: Path, **options) -> None:
        self.page = browser.new_context(viewport={"width": DESKTOP, "height": 900}, **options).new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())

    def ready(self) -> "Opened":
        self.page.wait_for_selector("html[data-ready]", state="attached", timeout=DRAW_MILLISECONDS)
        return self

    def seen_as(self, scheme: str, width: int) -> "Opened":
        """The same page in other colours and on another screen; figures follow."""
        self.page.emulate_media(color_scheme=scheme)
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.wait_for_timeout(300)
        return self

    def close(self) -> None:
        self.page.context.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    for name, make in REPORTS.items():
        (folder / f"{name}.html").write_text(report_page(make()).html, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in REPORTS}


@pytest.fixture(scope="module", params=REPORTS)
def opened(request, browser, files) -> Iterator[Opened]:
    """Each report, loaded once for all that is asked of it."""
    page = Opened(browser, files[request.param]).ready()
    yield page
    page.close()


@pytest.fixture
def whole(browser, files) -> Iterator[Opened]:
    page = Opened(browser, files["whole"]).ready()
    yield page
    page.close()


def test_every_figure_is_drawn_and_nothing_is_fetched(opened):
    figures = opened.page.locator("[data-figure]").count()

    assert opened.said == []
    assert [url for url in opened.asked if not url.startswith(("file:", "data:"))] == []
    assert opened.page.locator("[data-figure][data-drawn]:has(svg .mark-group)").count() == figures


def test_it_opens_fast(opened):
    """Also thirty figures, on a machine that does other things too."""
    assert opened.page.evaluate("performance.getEntriesByName('drawn')[0].startTime") < 30_000


@pytest.mark.parametrize(("scheme", "width"), VIEWS)
def test_nothing_is_wider_than_the_screen(opened, scheme, width):
    assert opened.seen_as(scheme, width).page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("scheme", "width"), VIEWS)
def test_everybody_can_use_it(opened, scheme, width):
    """axe-core finds no violation, with all parts open."""
    page = opened.seen_as(scheme, width).page
    with_axe(page)

    assert violations(page) == []


def test_hostile_names_are_shown_as_they_are(browser, files):
    page = Opened(browser, files["hostile"])

    assert page.page.locator("h1").inner_text() == f"{HOSTILE}."
    assert page.page.locator("img").count() == 0
    page.close()


def test_code_is_copied_with_the_keyboard_alone(whole):
    """In place of the clipboard, which a headless browser has none of, what would be written to it."""
    whole.page.evaluate("navigator.clipboard.writeText = async text => { window.copied = text }")
    whole.page.locator("[data-copies]").first.focus()
    whole.page.keyboard.press("Enter")
    whole.page.wait_for_function("window.copied")

    assert whole.page.evaluate("window.copied") == "scaler = StandardScaler().fit(train)"


def test_it_prints(whole):
    assert whole.page.pdf().startswith(b"%PDF")


def test_without_scripts_the_numbers_are_there(browser, files):
    page = Opened(browser, files["hostile"], java_script_enabled=False)
    page.page.locator("figure summary").first.click()

    assert page.page.locator("figure table").first.is_visible()
    page.close()
