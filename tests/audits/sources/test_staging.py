"""What an audit fetches lies in a scratch folder, which nothing that it says mentions."""

import os
import time
from pathlib import Path

import fsspec
import pytest

from audits.sources import staging
from audits.sources.locations import Roots, resolve
from audits.sources.remote import Scratch
from audits.sources.staging import fetch_apart, staged
from schemas.problem import DataError, EvaluatorError, ProblemError
from schemas.report import Report
from schemas.request import AuditRequest
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


class TestFetchedApart:
    """A process of its own fetches; what goes on afterwards needs no network."""

    ALLOWED = ("memory://apart",)

    @pytest.fixture
    def store(self):
        store = fsspec.filesystem("memory")
        store.pipe("/apart/x.csv", b"a\n1\n")
        yield store
        store.rm("/apart", recursive=True)

    @staticmethod
    def request(train: str) -> AuditRequest:
        data = {"train": {"uri": train}, "validation": {"uri": "here.csv"}, "label": "y"}
        return AuditRequest.model_validate({"model": {"uri": "model"}, "data": data})

    def test_what_was_fetched_is_there_when_the_store_is_gone(self, store, tmp_path: Path) -> None:
        place = Scratch(tmp_path)
        fetch_apart(self.request("memory://apart/x.csv"), self.ALLOWED, place)
        store.pipe("/apart/x.csv", b"other")
        roots = Roots((), self.ALLOWED, place)
        (path,) = resolve("memory://apart/x.csv", roots, field="data.train.uri")

        assert path.read_text() == "a\n1\n"
        assert place.said(str(path)) == "memory://apart/x.csv"

    def test_its_problem_is_told(self, store, tmp_path: Path) -> None:
        with pytest.raises(ProblemError) as caught:
            fetch_apart(self.request("memory://apart/nothing.csv"), self.ALLOWED, Scratch(tmp_path))

        assert (caught.value.code, caught.value.field) == ("data_not_found", "data.train.uri")

    def test_its_end_is_a_problem_too(self, store, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.setattr("audits.sources.staging.fetch", lambda *_, **__: 1 / 0)
        with pytest.raises(EvaluatorError) as caught:
            fetch_apart(self.request("memory://apart/x.csv"), self.ALLOWED, Scratch(tmp_path))

        assert caught.value.code == "fetch_failed"

    def test_one_that_hangs_is_ended(self, store, tmp_path: Path, monkeypatch) -> None:
        """A store's client may wait for ever in one call."""
        monkeypatch.setattr(staging, "fetch", lambda *_, **__: time.sleep(60))
        monkeypatch.setattr(staging, "DEADLINE_SECONDS", 0.0)
        monkeypatch.setattr(staging, "GRACE_SECONDS", 0.2)
        begun = time.monotonic()
        with pytest.raises(DataError) as caught:
            fetch_apart(self.request("memory://apart/x.csv"), self.ALLOWED, Scratch(tmp_path))

        assert (caught.value.code, caught.value.field) == ("data_unreadable", "data")
        assert time.monotonic() - begun < 10
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)

    def test_nothing_is_started_where_nothing_lies_elsewhere(self, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.setattr("os.fork", lambda: 1 / 0)

        fetch_apart(self.request("here.csv"), (), Scratch(tmp_path))
