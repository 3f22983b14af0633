"""A real browser. The tests are skipped where no Chromium is installed."""

from collections.abc import Iterator

import pytest

from benchmarks.report_pages import CHROMIUM, FLAGS


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """Not for the session: while Playwright runs, so does an event loop, and no test of the process may run another."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield started
        started.close()
