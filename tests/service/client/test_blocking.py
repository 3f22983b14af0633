"""The client that programs use: what it sends, when it tries again, and what it gives back."""

import threading
import time
from pathlib import Path

import httpx
import pytest

from fitcheck import (
    AuditFailedError,
    Client,
    GateError,
    InvalidRequestError,
    Patience,
    RefusedError,
    ServiceError,
    WaitTimeoutError,
)
from fitcheck.models import AuditRequest
from schemas.problem import Problem
from service.api.app import create_app
from service.logs import quiet_logging
from service.settings import Settings
from tests.service.asgi import AsgiTransport
from tests.service.fakes import FakeJobs

EXAMPLES = Path(__file__).parents[3] / "examples"
FIELDS = {
    "model": "wrong_scaling/model",
    "train": "wrong_scaling/train.csv",
    "validation": "wrong_scaling/validation.csv",
    "label": "benign",
}
JOB = {
    "id": "a",
    "status": "queued",
    "progress": {},
    "created_at": "2030-01-01T00:00:00Z",
    "links": {"self": "/v1/audits/a"},
}


@pytest.fixture
def jobs() -> FakeJobs:
    return FakeJobs()


@pytest.fixture
def client(jobs: FakeJobs) -> Client:
    app = create_app(Settings(data_roots=(EXAMPLES,)), jobs)
    quiet_logging()
    return Client("http://fitcheck.test", transport=AsgiTransport(app))


@pytest.fixture
def slept(monkeypatch) -> list[float]:
    """How long the client waited; the clock goes on as if it had."""
    seconds: list[float] = []
    monkeypatch.setattr("service.client.blocking.time.sleep", seconds.append)
    monkeypatch.setattr("service.client.calls.time.monotonic", lambda: sum(seconds))
    return seconds


def answering(*answers: httpx.Response | Exception, patience: Patience = Patience()):  # noqa: B008
    """A client whose service answers so, and the requests that it gets; the last answer is repeated."""
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        what = answers[min(len(requests), len(answers)) - 1]
        if isinstance(what, Exception):
            raise what
        return what

    return Client("http://x.test", transport=httpx.MockTransport(answer), patience=patience), requests


def busy(status: int = 429, retry_after: str | None = None) -> httpx.Response:
    problem = Problem(title="Busy", status=status, detail="Come back.", code="busy")
    headers = {"Retry-After": retry_after} if retry_after else {}
    return httpx.Response(status, json=problem.model_dump(), headers=headers)


class TestSubmitting:
    def test_fields_become_a_request(self, client: Client, jobs: FakeJobs):
        audit = client.submit(**FIELDS, fail_on="warning", tags={"team": "a"})

        asked = jobs.requests[audit.id]
        assert (asked.model.uri, asked.data.label) == ("wrong_scaling/model", "benign")
        assert (asked.gate.fail_on, asked.tags) == ("warning", {"team": "a"})
        assert audit.status == "queued"

    def test_a_path_is_of_this_machine(self, client: Client, jobs: FakeJobs):
        audit = client.submit(**FIELDS | {"model": EXAMPLES / "wrong_scaling" / "model"})

        assert jobs.requests[audit.id].model.uri == str(EXAMPLES / "wrong_scaling" / "model")

    def test_fields_are_laid_over_a_request(self, client: Client, jobs: FakeJobs):
        whole = client.submit(**FIELDS).id
        request = jobs.requests[whole]
        audit = client.submit(AuditRequest.model_validate(request.model_dump()), label=-1, task="binary")

        assert jobs.requests[audit.id].data.label == -1
        assert jobs.requests[audit.id].data.train == request.data.train

    def test_an_unknown_field_is_an_error_of_the_caller(self, client: Client):
        with pytest.raises(TypeError, match=r"no field 'lable'. Did you mean 'label'\? Its fields are .*validation"):
            client.submit(lable="y", **FIELDS)

    def test_an_invalid_field_is_told_without_the_words_of_our_library(self, client: Client, jobs: FakeJobs):
        with pytest.raises(InvalidRequestError) as caught:
            client.submit(**FIELDS | {"label": 7.5, "priority": "high"})

        assert str(caught.value) == (
            "This is no valid request: data.label: Give a text, a whole number or a list; "
            "priority: Give a whole number."
        )
        assert [error.field for error in caught.value.problem.errors] == ["data.label", "priority"]
        assert isinstance(caught.value, ValueError)
        assert not jobs.requests

    def test_a_table_in_memory_is_no_address(self, client: Client):
        class DataFrame:
            def to_parquet(self) -> None: ...

        with pytest.raises(InvalidRequestError, match=r"train: Give an address, not a DataFrame: .*to_parquet"):
            client.submit(**FIELDS | {"train": DataFrame()})

    def test_what_the_service_refuses_is_told_whole(self, client: Client):
        with pytest.raises(RefusedError) as caught:
            client.submit(**FIELDS | {"label": "no such column"})

        assert caught.value.problem.code == "label_missing"
        assert caught.value.problem.field == "data.label"


class TestTryingAgain:
    def test_all_tries_have_the_same_idempotency_key(self, slept):
        client, requests = answering(httpx.ReadTimeout("gone"), busy(503), httpx.Response(202, json=JOB))
        client.submit(**FIELDS)
        keys = {request.headers["Idempotency-Key"] for request in requests}

        assert len(requests) == 3
        assert len(keys) == 1

    def test_each_submission_has_a_key_of_its_own(self):
        client, requests = answering(httpx.Response(202, json=JOB))
        for _ in range(2):
            client.submit(**FIELDS)

        assert len({request.headers["Idempotency-Key"] for request in requests}) == 2

    @pytest.mark.parametrize("status", [429, 502, 503, 504])
    def test_it_waits_as_long_as_the_service_asks(self, slept, status: int):
        client, requests = answering(busy(status, "7"), httpx.Response(200, json=JOB))
        client.audit("a")

        assert len(requests) == 2
        assert slept == [7.0]

    def test_it_understands_a_date(self, slept):
        client, _ = answering(busy(429, "Thu, 01 Jan 1970 00:00:00 GMT"), httpx.Response(200, json=JOB))
        client.audit("a")

        assert 0 < slept[0] < 1

    def test_without_being_told_it_waits_longer_each_time(self, slept):
        client, _ = answering(*[busy()] * 6, httpx.Response(200, json=JOB))
        client.audit("a")

        assert len(slept) == 6
        assert slept[-1] > 4 * slept[0]

    def test_patience_ends(self, slept):
        client, requests = answering(busy(503), patience=Patience(away_seconds=10))

        with pytest.raises(ServiceError, match="Come back"):
            client.audit("a")
        assert len(requests) > 2
        assert sum(slept) <= 10

    def test_it_gives_up_at_once_where_it_would_wait_too_long(self, slept):
        client, requests = answering(busy(429, "3600"))

        with pytest.raises(RefusedError):
            client.audit("a")
        assert len(requests) == 1

    @pytest.mark.parametrize("status", [400, 404, 409, 422, 500])
    def test_what_another_try_cannot_mend_is_not_tried_again(self, slept, status: int):
        client, requests = answering(busy(status))

        with pytest.raises((RefusedError, ServiceError)):
            client.audit("a")
        assert len(requests) == 1

    def test_nobody_answers(self, slept):
        client, _ = answering(httpx.ConnectError("refused"), patience=Patience(away_seconds=2))

        with pytest.raises(ServiceError) as caught:
            client.audit("a")
        assert caught.value.code == "service_unreachable"


class TestAnswers:
    def test_fields_of_a_newer_service_are_passed_over(self):
        client, _ = answering(httpx.Response(200, json=JOB | {"news": 1, "progress": {"eta": 3}}))

        assert client.audit("a").id == "a"

    def test_the_page_of_a_proxy_is_no_answer(self):
        client, _ = answering(httpx.Response(200, text="<html>"))

        with pytest.raises(ServiceError) as caught:
            client.audit("a")
        assert caught.value.code == "unexpected_answer"

    def test_the_key_travels(self, monkeypatch):
        monkeypatch.setenv("FITCHECK_API_KEY", "secret")
        client, requests = answering(httpx.Response(200, json=JOB))
        client.audit("a")

        assert requests[0].headers["Authorization"] == "Bearer secret"


class TestAudit:
    def test_a_report_is_a_text_or_a_table(self, client: Client, jobs: FakeJobs):
        jobs.succeed(client.submit(**FIELDS).id)
        report = client.audit(jobs.stored[0].job.id).report()

        assert report.render("model-card").startswith("---\n")
        assert report.render("parquet").startswith(b"PAR1")

    def test_waiting_ends_with_the_report(self, client: Client, jobs: FakeJobs):
        audit = client.submit(**FIELDS)
        seen = []
        threading.Timer(0.3, jobs.succeed, [audit.id, "warn"]).start()
        report = audit.wait(progress=seen.append, timeout=60)

        assert (report.verdict, audit.verdict, audit.status) == ("warn", "warn", "succeeded")
        assert seen[-1].stage == "done"
        assert report.page == f"http://fitcheck.test/audits/{audit.id}/report"

    def test_the_bar_is_shown_on_standard_error(self, client: Client, jobs: FakeJobs, capsys):
        audit = client.submit(**FIELDS)
        jobs.succeed(audit.id)
        audit.wait(progress=True)
        shown = capsys.readouterr()

        assert "done" in shown.err
        assert shown.out == ""

    def test_waiting_ends_in_time_and_the_audit_goes_on(self, client: Client, jobs: FakeJobs, monkeypatch):
        monkeypatch.setattr("service.api.following.HEARTBEAT_SECONDS", 0.1)
        audit = client.submit(**FIELDS)
        begin = time.monotonic()
        timer = threading.Timer(3, jobs.start, [audit.id])
        timer.start()
        monkeypatch.setattr("service.client.blocking.Calls._events", _no_stream)

        with pytest.raises(WaitTimeoutError):
            audit.wait(timeout=0.5)
        assert time.monotonic() - begin < 3
        assert audit.status == "queued"
        timer.cancel()

    @pytest.mark.parametrize("ending", ["fail", "cancel"])
    def test_one_that_never_succeeds_raises(self, client: Client, jobs: FakeJobs, ending: str):
        audit = client.submit(**FIELDS)
        if ending == "fail":
            jobs.fail(audit.id, Problem(title="x", detail="Out of memory.", code="evaluator_killed"))
        else:
            assert audit.cancel().status == "cancelled"

        with pytest.raises(AuditFailedError):
            audit.wait()

    def test_events_end_with_the_last(self, client: Client, jobs: FakeJobs):
        audit = client.submit(**FIELDS)
        jobs.succeed(audit.id)

        assert [event.status for event in audit.events()] == ["succeeded"]

    def test_there_is_no_report_yet(self, client: Client):
        with pytest.raises(RefusedError):
            client.submit(**FIELDS).report()

    def test_audits_are_listed_by_tag(self, client: Client, jobs: FakeJobs):
        for team in "aab":
            client.submit(**FIELDS, tags={"team": team})

        assert len(list(client.audits(tags={"team": "a"}))) == 2
        assert len(list(client.audits(limit=1))) == 1


def _no_stream(*_: object) -> None:
    raise httpx.ReadTimeout("a proxy in between holds the events back")


class TestReport:
    @pytest.mark.parametrize(
        ("verdict", "fail_on", "raises"),
        [("fail", "critical", True), ("warn", "critical", False), ("warn", "warning", True), ("fail", "never", False)],
    )
    def test_the_gate(self, client: Client, jobs: FakeJobs, verdict, fail_on, raises):
        audit = client.submit(**FIELDS)
        jobs.succeed(audit.id, verdict)
        report = audit.report()
        if raises:
            with pytest.raises(GateError, match="Nothing is wrong"):
                report.raise_for_gate(fail_on)
        else:
            assert report.raise_for_gate(fail_on) is report

    def test_a_notebook_shows_it_without_running_what_it_holds(self, client: Client, jobs: FakeJobs):
        audit = client.submit(**FIELDS)
        jobs.succeed(audit.id, "fail", summary="<script>alert(1)</script>")
        shown = audit.report()._repr_html_()

        assert "<script>" not in shown
        assert "&lt;script&gt;" in shown
        assert f'href="http://fitcheck.test/audits/{audit.id}/report"' in shown
