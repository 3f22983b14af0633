"""What an audit fetches lies in a scratch folder, which nothing that it says mentions."""

from pathlib import Path

import fsspec
import pytest

from audits.sources.locations import Roots, resolve
from audits.sources.staging import staged
from schemas.problem import DataError
from schemas.report import Report
from tests.service.fakes import report


def test_reports_and_problems_name_addresses() -> None:
    fsspec.filesystem("memory").pipe("/b/x.csv", b"a\n1\n")
    seen: list[Path] = []

    @staged
    def audit(*, roots: Roots, fails: bool) -> Report:
        (path,) = resolve("memory://b/x.csv", roots, field="data.train.uri")
        seen.append(path)
        if fails:
            raise DataError("odd", f"{path} is odd", file=str(path))
        return report("id", data={"files": [str(path)], "rows": 1})

    roots = Roots((), ("memory://b",))
    assert audit(roots=roots, fails=False).data == {"files": ["memory://b/x.csv"], "rows": 1}
    with pytest.raises(DataError) as caught:
        audit(roots=roots, fails=True)
    assert (caught.value.file, caught.value.detail) == ("memory://b/x.csv", "memory://b/x.csv is odd")
    assert len(seen) == 2
    assert not any(path.exists() for path in seen)
