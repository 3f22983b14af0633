"""How large the page of a report is, and how long a browser takes to open it, where the data are many.

Usage: python -m benchmarks.report_pages [--repeat 5] [--folder FOLDER] [--output docs/benchmarks.md]

Audits a table of a million rows and one of a thousand columns with long names, both with a fault in every column, and
opens the pages in Chromium. Opened means that the last figure is drawn. The time on the main thread leaves out what
other programs of the machine take; the size is that of the file.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.document import rows_of, write_between

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DRAW_MILLISECONDS = 600_000
SHARE_TRAIN = 0.8
FITTED_ROWS = 20_000
UNITS, SHIFT = 100.0, 5.0


@dataclass(frozen=True)
class Table:
    rows: int
    columns: int


TABLES = (Table(1_000_000, 30), Table(5_000, 1_000))


@dataclass(frozen=True)
class Line:
    """Medians of the openings, in seconds."""

    table: Table
    bytes: int
    figures: int
    opened: float
    main_thread: float


def write_case(folder: Path, table: Table) -> None:
    """A SavedModel of standardised columns, and validation data in another unit."""
    import keras  # noqa: PLC0415 - loads TensorFlow

    names = [f"sensor_{i:04d}_mean_of_the_last_{i % 97}_minutes_before_the_event" for i in range(table.columns)]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(table.rows, table.columns)).astype(np.float32)
    weights = rng.normal(size=table.columns) / np.sqrt(table.columns)
    y = (rng.random(table.rows) < 1 / (1 + np.exp(-4 * (x @ weights)))).astype(np.int8)
    model = keras.Sequential([keras.Input((table.columns,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    model.fit(x[:FITTED_ROWS], y[:FITTED_ROWS], epochs=10, batch_size=64, verbose=0)
    model.export(folder / "model", verbose=False)
    first = int(SHARE_TRAIN * table.rows)
    for split, part in (("train", slice(None, first)), ("validation", slice(first, None))):
        values = x[part] if split == "train" else x[part] * UNITS + SHIFT
        pd.DataFrame(values, columns=names).assign(label=y[part]).to_parquet(folder / f"{split}.parquet")


def audited(folder: Path, table: Table) -> Path:
    """The page of its report; a case that lies there already is taken as it is."""
    page = folder / "report.html"
    if page.exists():
        return page
    folder.mkdir(parents=True, exist_ok=True)
    write_case(folder, table)
    command = [sys.executable, "-m", "service", "audit", "--label", "label", "--fail-on", "never"]
    command += ["--model", str(folder / "model"), "--train", str(folder / "train.parquet")]
    command += ["--validation", str(folder / "validation.parquet"), "--html", str(page)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return page


def opened(browser: Any, page: Path, repeat: int) -> tuple[int, float, float]:
    """Figures that were drawn, median seconds, median seconds on the main thread."""
    wall, busy, drawn = [], [], 0
    for _ in range(repeat):
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        tab = context.new_page()
        tab.set_default_timeout(DRAW_MILLISECONDS)
        session = context.new_cdp_session(tab)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        tab.goto(page.as_uri())
        tab.wait_for_selector("html[data-ready]", state="attached")
        wall.append(tab.evaluate("performance.getEntriesByName('drawn')[0].startTime") / 1000)
        told = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
        busy.append(told["TaskDuration"])
        drawn = tab.locator("[data-figure][data-drawn]:has(svg .mark-group)").count()
        if drawn != tab.locator("[data-figure]").count():
            raise SystemExit(f"{page}: figures are missing")
        context.close()
    return drawn, statistics.median(wall), statistics.median(busy)


def measure(folder: Path, repeat: int) -> list[Line]:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - tests take the flags alone

    lines = []
    pages = [audited(folder / f"{table.rows}x{table.columns}", table) for table in TABLES]
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        for table, page in zip(TABLES, pages, strict=True):
            lines.append(Line(table, page.stat().st_size, *opened(browser, page, repeat)))
        browser.close()
    return lines


def table(lines: list[Line], repeat: int) -> str:
    header = ("rows", "columns", "size, MB", "figures", "opened after, s", "busy, s")
    cells = [
        (
            f"{line.table.rows:,}",
            f"{line.table.columns:,}",
            f"{line.bytes / 1e6:.2f}",
            line.figures,
            f"{line.opened:.1f}",
            f"{line.main_thread:.1f}",
        )
        for line in lines
    ]
    measured_on = f"{os.cpu_count()} cores; load average at the end {os.getloadavg()[0]:.1f}"
    return f"Median of {repeat} openings on {measured_on}.\n\n{rows_of(header, cells)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the cases and pages are kept for the next run")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        lines = measure(arguments.folder or Path(temporary), arguments.repeat)
    content = table(lines, arguments.repeat)
    print(content)
    if arguments.output:
        write_between(arguments.output, "report_pages", content)


if __name__ == "__main__":
    main()
