"""What axe-core has against a page."""

import gzip
from pathlib import Path
from typing import Any

AXE = Path(__file__).parents[1] / "vendor" / "axe.min.js.gz"
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def with_axe(page: Any) -> None:
    """Bring axe into the page, once, and open what is folded."""
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    page.evaluate(gzip.decompress(AXE.read_bytes()).decode())


def violations(page: Any) -> list[tuple[str, str, list[str]]]:
    """Rule, what it asks for, and the first nodes that break it."""
    run = "standards => axe.run({runOnly: standards}).then(result => result.violations)"
    found = page.evaluate(run, STANDARDS)
    return [(one["id"], one["help"], [node["html"][:150] for node in one["nodes"][:3]]) for one in found]
