"""The whole product in a browser: a real service, a real worker, TensorFlow, and nothing but a keyboard."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from scripts.demo import running_service
from tests.browser.axe import violations, with_axe
from tests.browser.test_live_pages import Tab
from tests.browser.test_report_page import DESKTOP

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(900)]
WAIT = 240_000
FORM = {
    "model.uri": "wrong_scaling/model",
    "data.train.uri": "wrong_scaling/train.csv",
    "data.validation.uri": "wrong_scaling/validation.csv",
    "data.label": "benign",
}
# What the page of a running audit showed, each value once, in its order; kept beyond the page.
WATCH = """
const seen = new Set(JSON.parse(sessionStorage.seen ?? "[]"));
new MutationObserver(() => {
  const shown = document.querySelectorAll("[data-percent], li[aria-current=step] span");
  for (const part of shown) seen.add(part.textContent);
  sessionStorage.seen = JSON.stringify([...seen]);
}).observe(document, {subtree: true, childList: true, characterData: true, attributes: true});
"""


@pytest.fixture(scope="module")
def url(browser, tmp_path_factory) -> Iterator[str]:
    """`fitcheck serve`; not started where there is no browser."""
    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scripts.demo.READY_SECONDS", 400.0)  # a machine that does other things too
        with running_service(folder / "state", folder / "log") as address:
            yield address


def tab_to(tab: Tab, what: str) -> None:
    """Press Tab until the focus is on what the expression of `focused` says."""
    for _ in range(120):
        tab.page.keyboard.press("Tab")
        if tab.page.evaluate(f"(focused => {what})(document.activeElement)"):
            return
    raise AssertionError(f"Tab never leads to {what}")


def test_a_model_is_audited_with_the_keyboard(browser, url):
    context = browser.new_context(viewport={"width": DESKTOP, "height": 900})
    context.add_init_script(WATCH)
    tab = Tab(context, SimpleNamespace(url=url))
    tab.page.set_default_timeout(WAIT)
    tab.open("/audits/new")
    for name, text in FORM.items():
        tab_to(tab, f"focused.name === '{name}'")
        tab.page.keyboard.type(text)
    tab.page.keyboard.press("Enter")

    tab.page.wait_for_url("**/audits/*/report")
    tab.ready()
    assert tab.page.locator("h1").inner_text() == "The validation data are scaled otherwise than the model expects."
    assert "balanced accuracy goes from 0.50 to 0.9" in tab.page.locator("h1 + p").inner_text()
    assert [path for path in tab.asked if path.endswith("/events") or "/events?" in path]
    seen = tab.page.evaluate("JSON.parse(sessionStorage.seen)")
    percents = [int(text.removesuffix(" %")) for text in seen if text.endswith(" %")]
    assert len(percents) > 2
    assert percents == sorted(percents)
    assert len([text for text in seen if not text.endswith(" %")]) > 2, seen

    figures = tab.page.locator("[data-figure]").count()
    assert figures >= 4
    assert tab.page.locator("[data-figure][data-drawn]:has(svg .mark-group)").count() == figures
    tab_to(tab, "focused.dataset.copies")
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_function("['Copied', 'Selected'].includes(document.activeElement.textContent)")
    with_axe(tab.page)
    assert violations(tab.page) == []

    assert tab.wrong == []
    assert tab.elsewhere() == []
    context.close()
