"""Copies the measured error rates from docs/benchmarks.md, which the benchmark writes, into docs/methodology.md."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "docs" / "benchmarks.md"
PAGE = ROOT / "docs" / "methodology.md"
BEGIN, END = "<!-- rates: begin -->", "<!-- rates: end -->"


def rates(benchmarks: str) -> str:
    """The first paragraph and the first table of the acceptance experiment."""
    (section,) = re.findall(r"<!-- acceptance: begin -->\n(.*?)<!-- acceptance: end -->", benchmarks, re.DOTALL)
    paragraph, table = section.split("\n\n")[:2]
    return f"{paragraph}\n\n{table}"


def page(text: str, benchmarks: str) -> str:
    """The page with the rates of the benchmarks."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{rates(benchmarks)}\n{END}{rest.split(END)[1]}"


def main() -> None:
    PAGE.write_text(page(PAGE.read_text("utf-8"), BENCHMARKS.read_text("utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
