"""Results as JSON lines, each under the fingerprint of the code that made it."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.auditing import Outcome
from benchmarks.cases import Plan, Truth

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Record:
    """A case that was made and audited, or the reason why there is none."""

    plan: Plan
    truth: Truth | None
    outcome: Outcome | None
    left_out: str | None = None

    @property
    def is_audit(self) -> bool:
        return self.truth is not None and self.outcome is not None and self.outcome.error is None

    @property
    def false_findings(self) -> set[str]:
        return self._wrong(self.outcome.loud if self.outcome else ())

    @property
    def false_causes(self) -> set[str]:
        return self._wrong(self.outcome.causes if self.outcome else ())

    def _wrong(self, codes: Iterable[str]) -> set[str]:
        assert self.truth is not None
        return set(codes) - self.truth.right - set(self.truth.tolerated)

    def found_in_first(self, places: int) -> bool:
        assert self.truth is not None
        assert self.outcome is not None
        return bool(self.truth.right & set(self.outcome.causes[:places]))

    @property
    def is_found(self) -> bool:
        assert self.truth is not None
        assert self.outcome is not None
        return bool(self.truth.right & {*self.outcome.loud, *self.outcome.causes})


def fingerprint() -> str:
    """Of the engine and of what makes the cases: results of other code are no results of this one."""
    digest = hashlib.sha256()
    for folder in ("schemas", "audits", "benchmarks/cases", "benchmarks/acceptance/plans.py"):
        for path in sorted((ROOT / folder).rglob("*.py")) if folder[-3:] != ".py" else [ROOT / folder]:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


class Journal:
    """A file of records; a line that an interruption cut short is made again."""

    def __init__(self, path: Path, made_by: str) -> None:
        self._path = path
        self._made_by = made_by

    def read(self) -> dict[str, Record]:
        known: dict[str, Record] = {}
        lines = self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else []
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if entry["made_by"] == self._made_by:
                record = _record(entry)
                known[record.plan.name] = record
        return known

    def add(self, record: Record) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        cut_short = self._path.exists() and self._path.read_bytes()[-1:] not in {b"", b"\n"}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(("\n" if cut_short else "") + json.dumps({"made_by": self._made_by, **asdict(record)}) + "\n")


def _record(entry: dict[str, dict[str, object]]) -> Record:
    truth, outcome = entry["truth"], entry["outcome"]
    if truth is not None:
        truth = {**truth, "also": tuple(truth["also"]), "tolerated": tuple(truth["tolerated"])}  # type: ignore[arg-type]
    return Record(
        Plan(**entry["plan"]),  # type: ignore[arg-type]
        None if truth is None else Truth(**truth),  # type: ignore[arg-type]
        None if outcome is None else Outcome.from_json(outcome),
        entry["left_out"],  # type: ignore[arg-type]
    )
