"""The live pages in a browser: a whole audit from the form to the comparison, for everybody, and from one host."""

import itertools
from collections.abc import Iterator

import pytest

from schemas.job import Progress
from schemas.problem import Problem
from service.api.access import caller_of
from tests.browser.axe import violations, with_axe
from tests.browser.live import EXAMPLES, Live, running
from tests.browser.test_report_page import DESKTOP, PHONE
from tests.service.cli.reports import whole_report
from tests.service.conftest import make_request

pytestmark = pytest.mark.timeout(600)
WAIT = 60_000
EXAMPLE = EXAMPLES / "wrong_scaling"
VIEWS = list(itertools.product(("light", "dark"), (PHONE, DESKTOP)))


class Tab:
    """A tab in a browser, with everything that went wrong in it and everything that it asked for."""

    def __init__(self, context, live: Live) -> None:
        self.page, self.live = context.new_page(), live
        self.page.set_default_timeout(WAIT)
        self.wrong: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.wrong.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def open(self, path: str) -> "Tab":
        self.page.goto(self.live.url + path)
        return self.ready()

    def ready(self) -> "Tab":
        self.page.wait_for_selector("html[data-ready]", state="attached")
        return self

    def elsewhere(self) -> list[str]:
        return [url for url in self.asked if not url.startswith((self.live.url, "data:"))]


@pytest.fixture(scope="module")
def live(tmp_path_factory) -> Iterator[Live]:
    with running(tmp_path_factory.mktemp("live")) as service:
        yield service


@pytest.fixture(scope="module")
def guarded(tmp_path_factory) -> Iterator[Live]:
    """A service that asks for a key."""
    with running(tmp_path_factory.mktemp("guarded"), api_keys=("first-key",)) as service:
        yield service


@pytest.fixture
def context(browser) -> Iterator[object]:
    made = browser.new_context(viewport={"width": DESKTOP, "height": 900})
    yield made
    made.close()


@pytest.fixture
def tab(context, live) -> Tab:
    """Fails the test where the page logged anything, or asked another host."""
    opened = Tab(context, live)
    yield opened
    assert opened.wrong == []
    assert opened.elsewhere() == []


def submitted(live: Live, **fields: object) -> str:
    return live.jobs.submit(make_request(**fields), caller="anonymous")[0].id


def succeeded(live: Live, report=None, **fields: object) -> str:
    audit = submitted(live, **fields)
    live.jobs.succeed(audit, "fail" if report else "pass")
    if report is not None:
        live.jobs.reports[audit] = report.model_copy(update={"audit_id": audit})
    return audit


def fill(tab: Tab) -> None:
    page = tab.page
    page.get_by_label("Model", exact=True).fill(str(EXAMPLE / "model"))
    page.get_by_label("Training data", exact=True).fill(str(EXAMPLE / "train.csv"))
    page.get_by_label("Validation data", exact=True).fill(str(EXAMPLE / "validation.csv"))
    page.get_by_label("Label column", exact=True).fill("benign")


def test_an_audit_from_the_form_to_its_report(tab, live):
    """Filled in, submitted, watched while it runs; at its end the report appears by itself."""
    fill(tab.open("/audits/new"))
    tab.page.get_by_role("button", name="Submit").click()
    tab.page.get_by_role("heading", name="Waiting for a worker").wait_for()
    audit = tab.page.url.rpartition("/")[2]

    live.jobs.start(audit, Progress(fraction=0.25, stage="collecting", detail="1,000 rows"))
    tab.page.get_by_role("heading", name="Under way").wait_for()
    tab.page.get_by_text("25 %").wait_for()
    assert tab.page.locator("li[aria-current=step]").inner_text() == "Run the model on both splits\n1,000 rows"

    live.jobs.start(audit, Progress(fraction=0.75, stage="repairing"))
    tab.page.get_by_text("75 %").wait_for()

    live.jobs.succeed(audit, "fail")
    live.jobs.reports[audit] = whole_report()
    tab.page.get_by_role("heading", name="The validation data were never standardised.").wait_for()
    assert tab.page.url.endswith(f"/audits/{audit}/report")


def test_the_list_changes_while_it_is_looked_at(tab, live):
    first, second = submitted(live), submitted(live)
    tab.open("/audits")
    live.jobs.start(first, Progress(fraction=0.6, stage="checking"))
    row = tab.page.locator(f"tr[data-audit='{first}']")
    row.get_by_text("running").wait_for()
    assert row.locator("progress").evaluate("bar => bar.value") == 60

    live.jobs.succeed(first, "warn")
    live.jobs.start(second)
    row.get_by_text("warn").wait_for()
    tab.page.locator(f"tr[data-audit='{second}']").get_by_text("running").wait_for()
    assert row.locator("progress").count() == 0


def test_it_is_cancelled(tab, live):
    audit = submitted(live)
    live.jobs.start(audit)
    tab.open(f"/audits/{audit}").page.get_by_role("button", name="Cancel the audit").click()

    tab.page.get_by_role("heading", name="Cancelled").wait_for()
    assert live.jobs.get(audit, caller="anonymous").status == "cancelled"


def test_two_tabs_see_the_same(context, tab, live):
    """A cancellation in one is seen in the other."""
    audit = submitted(live)
    live.jobs.start(audit)
    other = Tab(context, live).open(f"/audits/{audit}")
    tab.open(f"/audits/{audit}").page.get_by_role("button", name="Cancel the audit").click()

    other.page.get_by_role("heading", name="Cancelled").wait_for()
    assert other.wrong == []


def test_forms_of_two_tabs_are_both_good(context, tab, live):
    other = Tab(context, live).open("/audits/new")
    fill(tab.open("/audits/new"))
    fill(other)
    for each in (other, tab):
        each.page.get_by_role("button", name="Submit").click()
        each.page.get_by_role("heading", name="Waiting for a worker").wait_for()

    assert other.page.url != tab.page.url


def test_what_is_wrong_is_told_at_its_field(context, live):
    """And the rest of the form stays as it was, also what was folded away."""
    tab = Tab(context, live)
    fill(tab.open("/audits/new"))
    tab.page.get_by_text("Columns", exact=True).click()
    tab.page.get_by_label("Identifies a row").fill("benign")
    tab.page.get_by_role("button", name="Submit").click()
    tab.page.get_by_role("alert").wait_for()

    assert tab.page.evaluate("document.activeElement.getAttribute('role')") == "alert"
    tab.page.locator(".problems a").first.click()
    wrong = tab.page.locator("[aria-invalid=true]")
    assert wrong.count() == 1
    assert tab.page.get_by_label("Label column", exact=True).input_value() == "benign"
    assert tab.page.get_by_label("Identifies a row").input_value() == "benign"


def test_a_chosen_file_is_sent(tab, live):
    tab.open("/audits/new")
    tab.page.locator("[data-sends='data.train.uri']").set_input_files(EXAMPLE / "train.csv")
    tab.page.get_by_text("train.csv was sent.").wait_for()

    assert tab.page.get_by_label("Training data", exact=True).input_value().startswith("upload://")


def test_the_list_is_filtered_and_two_reports_are_compared(tab, live):
    before = succeeded(live, whole_report(), tags={"run": "compared"})
    after = succeeded(live, tags={"run": "compared"})
    other = succeeded(live)
    tab.open("/audits")
    tab.page.get_by_label("Tag").fill("run:compared")
    tab.page.get_by_role("button", name="Show").click()
    tab.page.get_by_role("link", name="Show all").wait_for()
    assert tab.page.locator(f"tr[data-audit='{other}']").count() == 0

    for audit in (after, before):
        tab.page.get_by_label(f"Compare {audit}").check()
    tab.page.get_by_role("button", name="Compare the two marked").click()
    tab.page.get_by_role("heading", name="None mended, none new").wait_for()
    assert tab.page.locator("dd a.code").all_inner_texts() == [before, after]


def test_the_keyboard_is_enough(tab):
    """From the list to the form, through it, and to the audit, without a mouse."""
    tab.open("/audits")
    tab.page.keyboard.press("Tab")
    assert tab.page.evaluate("document.activeElement.className") == "skip"
    for _ in range(20):
        tab.page.keyboard.press("Tab")
        if tab.page.evaluate("document.activeElement.textContent") == "New audit":
            break
    tab.page.keyboard.press("Enter")
    tab.page.get_by_role("heading", name="New audit").wait_for()
    texts = {"model.uri": "model", "data.train.uri": "train.csv", "data.validation.uri": "validation.csv"}
    for _ in range(30):
        tab.page.keyboard.press("Tab")
        name = tab.page.evaluate("document.activeElement.name ?? ''")
        if name in texts:
            tab.page.keyboard.type(str(EXAMPLE / texts[name]))
        if name == "data.label":
            tab.page.keyboard.type("benign")
            tab.page.keyboard.press("Enter")
            break

    tab.page.get_by_role("heading", name="Waiting for a worker").wait_for()


def test_without_scripts_everything_works(browser, live):
    context = browser.new_context(java_script_enabled=False)
    tab = Tab(context, live)
    tab.page.goto(f"{live.url}/audits/new")
    fill(tab)
    tab.page.get_by_role("button", name="Submit").click()
    tab.page.get_by_role("button", name="Cancel the audit").click()

    tab.page.get_by_role("heading", name="Cancelled").wait_for()
    context.close()


def test_the_login_and_a_session_that_ends(context, guarded):
    """Nothing that was typed is lost when the session ends in the middle of it."""
    tab = Tab(context, guarded).open("/audits/new")
    assert "/login?next=" in tab.page.url
    tab.page.get_by_label("Access key").fill("first-key")
    tab.page.get_by_role("button", name="Log in").click()
    tab.page.get_by_role("heading", name="New audit").wait_for()
    fill(tab)
    context.clear_cookies()  # as at the end of a session, which the cookie does not outlive
    tab.page.get_by_role("button", name="Submit").click()
    tab.page.get_by_text("You are not logged in any more").wait_for()
    assert tab.page.get_by_label("Label column", exact=True).input_value() == "benign"

    tab.page.get_by_label("Access key").fill("first-key")
    tab.page.get_by_role("button", name="Submit").click()
    tab.page.get_by_role("heading", name="Waiting for a worker").wait_for()
    assert [stored.caller for stored in guarded.jobs.stored] == [caller_of("first-key")]

    tab.page.get_by_role("button", name="Log out").click()
    tab.page.get_by_role("heading", name="Log in").wait_for()
    assert tab.open("/audits").page.url.startswith(f"{guarded.url}/login")


@pytest.fixture(scope="module")
def places(live, guarded) -> dict[str, str]:
    """Name -> address of every kind of page, each with something on it."""
    tags = {"model": "churn", "team": "growth"}
    done, again = succeeded(live, whole_report(), tags=tags), succeeded(live)
    going, failed, cancelled = submitted(live, tags=tags), submitted(live), submitted(live)
    live.jobs.start(going)
    wrong = Problem(title="Label missing", detail="Name one of a, b.", code="label_missing", file="/a.csv", row=3)
    live.jobs.fail(failed, wrong)
    live.jobs.cancel(cancelled, caller="anonymous")
    paths = {
        "list": "/audits",
        "nothing": "/audits?tag=no:such",
        "form": "/audits/new",
        "running": f"/audits/{going}",
        "failed": f"/audits/{failed}",
        "cancelled": f"/audits/{cancelled}",
        "report": f"/audits/{done}/report",
        "comparison": f"/compare?a={done}&b={again}",
        "catalogue": "/catalogue",
        "finding": "/catalogue/metrics.weak_model",
    }
    return {name: live.url + path for name, path in paths.items()} | {"login": f"{guarded.url}/login"}


PLACES = ("list", "nothing", "form", "running", "failed", "cancelled", "report", "comparison", "catalogue")


@pytest.mark.parametrize("name", [*PLACES, "finding", "login"])
def test_everybody_can_use_it_on_every_screen(context, live, places, name):
    """axe-core finds no violation with all parts open, and nothing is wider than the screen."""
    tab = Tab(context, live)
    tab.page.goto(places[name])
    tab.ready()
    with_axe(tab.page)
    for scheme, width in VIEWS:
        tab.page.emulate_media(color_scheme=scheme)
        tab.page.set_viewport_size({"width": width, "height": 900})
        tab.page.wait_for_timeout(200)

        assert violations(tab.page) == [], f"{scheme} {width}"
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width, f"{scheme} {width}"
    assert tab.wrong == []
