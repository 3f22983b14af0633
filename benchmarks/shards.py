"""How much sooner a large audit ends when its splits are folded in parts: on this machine, and on a Ray cluster.

Usage: python -m benchmarks.shards [--rows 1000000 10000000] [--parts 1 2] [--nodes 2] [--output docs/benchmarks.md]

The data and the model are those of benchmarks.speed. Every way to run is measured in a process that has loaded
TensorFlow before; a Ray cluster of --nodes nodes with one core each is started here on the loopback interface, or
--ray-address names one. Its workers load TensorFlow in the measured time. All reports must be the same.
"""

import argparse
import os
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.auditing import in_fork
from benchmarks.clusters import local_cluster
from benchmarks.document import rows_of, write_between
from benchmarks.speed import write_data, write_model

STATE = Path(".cache/benchmarks/speed")


@dataclass(frozen=True)
class Line:
    """One audit.

    Attributes:
        collecting: seconds of the pass over both splits.
        seconds: of the whole audit.
        is_same: whether its report is that of the first way.
    """

    rows: int
    way: str
    collecting: float
    seconds: float
    is_same: bool


def audited(data: Path, model: Path, parts: int | None, address: str | None) -> tuple[float, float, dict[str, Any]]:
    """Seconds of the pass over both splits and of the whole audit, and the report without its times."""
    from audits.engine import audit  # noqa: PLC0415 - in the child alone
    from audits.sources import Roots  # noqa: PLC0415
    from schemas.request import AuditRequest  # noqa: PLC0415

    splits = {name: {"uri": str(data / f"{name}.parquet")} for name in ("train", "validation")}
    engine = "ray" if address else "local"
    request = AuditRequest.model_validate(
        {"model": {"uri": str(model)}, "data": {**splits, "label": "label"}, "resources": {"engine": engine}}
    )
    reached: dict[str, float] = {}
    begun = time.monotonic()
    report = audit(
        request,
        audit_id="shards",
        roots=Roots((data.parent,)),
        progress=lambda told: reached.update({told.detail: time.monotonic(), told.stage: time.monotonic()}),
        parts=parts,
        ray_address=address,
    )
    seconds = time.monotonic() - begun
    content = report.model_dump(mode="json")
    for check in content["checks"]:
        del check["seconds"]
    return reached["collecting"] - reached["starting the model"], seconds, content


def measure(rows: int, state: Path, parts: Sequence[int], nodes: int, address: str | None) -> list[Line]:
    data, model = state / f"{rows}", state / "model"
    data.mkdir(parents=True, exist_ok=True)
    write_data(data, rows)
    if not model.exists():
        in_fork(write_model, model, data)
    lines: list[Line] = []
    first: dict[str, Any] | None = None

    def add(way: str, in_parts: int | None, at: str | None) -> None:
        nonlocal first
        collecting, seconds, report = in_fork(audited, data, model, in_parts, at, limit_seconds=3600)
        first = first or report
        lines.append(Line(rows, way, collecting, seconds, report == first))
        print(lines[-1], flush=True)

    for count in parts:
        add(f"{count} here", count, None)
    if nodes or address:
        with nullcontext(address) if address else local_cluster(nodes) as at:
            add(f"Ray, {nodes} nodes of 1 core here" if not address else "Ray", None, at)
    return lines


def table(lines: Sequence[Line]) -> str:
    base = {line.rows: line for line in reversed(lines)}
    header = (
        "rows",
        "parts at a time",
        "pass over the data, s",
        "speed-up",
        "whole audit, s",
        "speed-up",
        "same report",
    )
    cells = [
        (
            f"{line.rows:,}",
            line.way,
            f"{line.collecting:.1f}",
            f"{base[line.rows].collecting / line.collecting:.2f}",
            f"{line.seconds:.1f}",
            f"{base[line.rows].seconds / line.seconds:.2f}",
            "yes" if line.is_same else "**no**",
        )
        for line in lines
    ]
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores; load average at the end {load:.1f}.\n\n{rows_of(header, cells)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--parts", type=int, nargs="+", default=[1, 2], help="parts at a time on this machine")
    parser.add_argument("--nodes", type=int, default=2, help="of the Ray cluster that is started; 0: none")
    parser.add_argument("--ray-address", help="of a Ray cluster that is there already")
    parser.add_argument("--state", type=Path, default=STATE)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from audits.models import import_tensorflow  # noqa: PLC0415 - before the forks, and after the environment is set

    import_tensorflow()
    state = arguments.state.absolute()
    lines = [
        line
        for rows in arguments.rows
        for line in measure(rows, state, arguments.parts, arguments.nodes, arguments.ray_address)
    ]
    content = table(lines)
    print(content)
    if arguments.output:
        write_between(arguments.output, "shards", content)


if __name__ == "__main__":
    main()
