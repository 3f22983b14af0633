"""Submit, list, read, cancel: what the routes answer."""

import json

import pytest
from structlog.testing import capture_logs

from schemas.isolation import Isolation
from schemas.problem import Problem
from service.jobs.errors import DatabaseUnavailable, QueueFull

PROBLEM = "application/problem+json"


def submit(client, body, **headers):
    return client.post("/v1/audits", json=body, headers=headers)


def test_a_submitted_audit_is_accepted_with_its_address(client, body):
    answer = submit(client, body)

    assert answer.status_code == 202
    assert answer.json()["status"] == "queued"
    assert answer.headers["Location"] == f"/v1/audits/{answer.json()['id']}" == answer.json()["links"]["self"]


def test_a_sandbox_that_is_required_and_missing_refuses_audits(client_of, body, jobs, monkeypatch):
    weak = Isolation(level="weak", seccomp=True, missing=["landlock", "read a file outside"])
    monkeypatch.setattr("service.api.app.probe", lambda _: weak)
    answer = submit(client_of(sandbox="require"), body)

    assert (answer.status_code, answer.json()["code"]) == (503, "isolation_unavailable")
    assert "landlock" in answer.json()["detail"]
    assert not jobs.requests
    assert submit(client_of(sandbox="auto"), body).status_code == 202


def test_the_request_reaches_the_queue_as_it_was_sent(client, body, jobs):
    submit(client, {**body, "reported_metrics": ["accuracy"], "tags": {"team": "growth"}})

    (request,) = jobs.requests.values()
    assert request.reported_metrics[0].name == "accuracy"
    assert request.tags == {"team": "growth"}


def test_times_are_utc_as_rfc_3339_writes_them(client, body):
    assert submit(client, body).json()["created_at"] == "2030-01-01T00:00:00Z"


class TestIdempotencyKey:
    def test_the_same_key_and_body_give_the_same_job(self, client, body):
        first, again = (submit(client, body, **{"Idempotency-Key": "k"}) for _ in range(2))

        assert first.json() == again.json()
        assert again.status_code == 202
        assert "Idempotency-Replayed" not in first.headers
        assert again.headers["Idempotency-Replayed"] == "true"

    def test_the_same_key_with_another_body_is_a_conflict(self, client, body):
        submit(client, body, **{"Idempotency-Key": "k"})
        answer = submit(client, {**body, "priority": 1}, **{"Idempotency-Key": "k"})

        assert answer.status_code == 409
        assert answer.json()["code"] == "idempotency_conflict"

    def test_the_same_key_gives_the_same_job_after_its_files_have_gone(self, client, body):
        """A client that did not hear the answer may ask again much later."""
        first = submit(client, body, **{"Idempotency-Key": "k"})
        client.app.state.preflight = lambda audit: pytest.fail("examined again")

        assert submit(client, body, **{"Idempotency-Key": "k"}).json() == first.json()

    def test_without_a_key_each_request_is_an_audit(self, client, body):
        assert submit(client, body).json()["id"] != submit(client, body).json()["id"]

    @pytest.mark.parametrize("key", ["", "k" * 256])
    def test_a_key_that_cannot_be_stored_is_refused(self, client, body, key):
        answer = submit(client, body, **{"Idempotency-Key": key})

        assert answer.status_code == 422
        assert answer.json()["field"] == "Idempotency-Key"


class TestInvalidRequests:
    def test_every_invalid_field_is_named(self, client, body):
        body["data"]["label"] = 5.5
        body["output"] = {"threshold": 2}
        answer = submit(client, {**body, "reported_metrics": [{"name": ""}]})

        assert answer.status_code == 422
        assert answer.json()["code"] == "invalid_request"
        assert [e["field"] for e in answer.json()["errors"]] == [
            "data.label",
            "output.threshold",
            "reported_metrics.0.name",
        ]
        assert answer.json()["field"] == "data.label"

    def test_a_missing_field_is_named(self, client, body):
        del body["data"]["validation"]

        assert submit(client, body).json()["errors"] == [
            {"field": "data.validation", "detail": "This field is required."}
        ]

    def test_an_unknown_field_is_refused_and_the_known_ones_are_listed(self, client, body):
        body["data"]["lable"] = "y"
        (error,) = submit(client, body).json()["errors"]

        assert error["field"] == "data.lable"
        assert "label" in error["detail"]

    def test_alternatives_for_one_field_are_one_error(self, client, body):
        body["data"]["train"]["uri"] = 5
        (error,) = submit(client, body).json()["errors"]

        assert error["field"] == "data.train.uri"
        assert error["detail"] == "Give a text or a list."

    def test_an_item_of_a_list_is_named_by_its_place(self, client, body):
        body["data"]["train"]["uri"] = ["a", 7]
        errors = submit(client, body).json()["errors"]

        assert "data.train.uri.1" in [e["field"] for e in errors]

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"priority": False}, "priority"),
            ({"priority": "1"}, "priority"),
            ({"output": {"threshold": "0.5"}}, "output.threshold"),
            ({"resources": {"max_rows": True}}, "resources.max_rows"),
            ({"tags": {"build": 7}}, "tags.build"),
        ],
    )
    def test_what_is_of_another_type_is_not_read_as_what_it_resembles(self, client, body, fields, field):
        """The OpenAPI document allows it as little: true is no number."""
        answer = submit(client, {**body, **fields})

        assert (answer.status_code, [e["field"] for e in answer.json().get("errors", [])]) == (422, [field])

    def test_a_body_that_is_no_object_is_refused(self, client):
        answer = submit(client, [1])

        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "body"

    def test_a_contradiction_is_told_where_it_stands(self, client, body):
        body["data"]["group"] = body["data"]["label"]
        (error,) = submit(client, body).json()["errors"]

        assert error["field"] == "data"
        assert "both label and group" in error["detail"]

    def test_a_callback_is_refused_rather_than_ignored(self, client, body, jobs):
        answer = submit(client, {**body, "callback": {"url": "https://ci.example/hook"}})

        assert (answer.status_code, answer.json()["code"]) == (422, "callback_unsupported")
        assert answer.json()["field"] == "callback"
        assert not jobs.stored

    @pytest.mark.parametrize(
        ("checks", "field"),
        [
            ({"include": ["metrics.nonsense"]}, "checks.include"),
            ({"exclude": ["nonsense.*"]}, "checks.exclude"),
            ({"limits": {"metrics.nonsense": {}}}, "checks.limits.metrics.nonsense"),
            ({"limits": {"metrics.weak_model": {"min_skill": 2}}}, "checks.limits.metrics.weak_model.min_skill"),
        ],
    )
    def test_checks_and_limits_that_do_not_exist_are_refused(self, client, body, checks, field):
        answer = submit(client, {**body, "checks": checks})

        assert (answer.status_code, answer.json()["field"]) == (422, field)

    def test_a_model_that_is_not_there_is_refused_at_once(self, client, body, jobs):
        body["model"]["uri"] += "-missing"
        answer = submit(client, body)

        assert answer.status_code == 422
        assert answer.json()["field"] == "model.uri"
        assert not jobs.stored

    def test_an_address_outside_the_data_roots_is_refused_at_once(self, client, body, jobs):
        body["data"]["train"]["uri"] = "file:///etc/passwd"
        answer = submit(client, body)

        assert answer.status_code == 400
        assert answer.json()["field"] == "data.train.uri"
        assert not jobs.stored


class TestBodies:
    @pytest.mark.parametrize(
        "content",
        [b"", b"{", b'{"a": NaN}', b"\xff", b'{"a": "\\u0000"}', b'{"a": "\\ud800"}', b"[" * 100_000],
        ids=["empty", "cut", "nan", "not-utf-8", "nul", "surrogate", "deep"],
    )
    def test_what_is_not_json_is_refused(self, client, content):
        answer = client.post("/v1/audits", content=content, headers={"Content-Type": "application/json"})

        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")

    def test_malformed_json_is_located(self, client):
        answer = client.post("/v1/audits", content=b'{"a":\n x}', headers={"Content-Type": "application/json"})

        assert "line 2 column 2" in answer.json()["detail"]

    @pytest.mark.parametrize("content_type", ["text/plain", "", "application/json; charset=latin-1"])
    def test_other_media_types_are_refused(self, client, body, content_type):
        answer = client.post("/v1/audits", content=json.dumps(body), headers={"Content-Type": content_type})

        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")

    def test_utf_8_may_be_said(self, client, body):
        kind = "application/json; charset=UTF-8"
        answer = client.post("/v1/audits", content=json.dumps(body), headers={"Content-Type": kind})

        assert answer.status_code == 202

    def test_a_body_that_is_too_large_is_refused_while_it_arrives(self, client):
        sent = 0

        def endless():
            nonlocal sent
            for _ in range(10_000):
                sent += 1
                yield b" " * 1024 * 64

        answer = client.post("/v1/audits", content=endless(), headers={"Content-Type": "application/json"})

        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
        assert sent < 100


class TestReading:
    def test_a_job_tells_its_progress(self, client, body, jobs):
        audit = submit(client, body).json()
        jobs.start(audit["id"])
        job = client.get(audit["links"]["self"]).json()

        assert (job["status"], job["attempt"]) == ("running", 1)
        assert job["progress"] == {"fraction": 0.5, "stage": "checking", "detail": "metrics"}

    def test_a_failed_job_carries_its_problem(self, client, body, jobs):
        audit = submit(client, body).json()
        jobs.fail(
            audit["id"], Problem(title="Label missing", detail="No column 'y'.", code="label_missing", column="y")
        )

        assert client.get(audit["links"]["self"]).json()["error"]["column"] == "y"

    @pytest.mark.parametrize("path", ["", "/report"])
    @pytest.mark.parametrize("audit_id", ["audit-9999", "%00", "a" * 500, "ä"])
    def test_an_unknown_audit_is_not_found(self, client, audit_id, path):
        answer = client.get(f"/v1/audits/{audit_id}{path}")

        assert (answer.status_code, answer.json()["code"]) == (404, "audit_not_found")

    def test_a_report_is_given_when_there_is_one(self, client, body, jobs):
        audit = submit(client, body).json()
        jobs.succeed(audit["id"], "warn")
        answer = client.get(audit["links"]["report"])

        assert answer.status_code == 200
        assert answer.json()["verdict"] == "warn"
        assert answer.headers["Vary"] == "Accept"

    def test_a_report_that_is_not_there_yet_is_a_conflict(self, client, body):
        audit = submit(client, body).json()
        answer = client.get(audit["links"]["report"])

        assert (answer.status_code, answer.json()["code"]) == (409, "no_report")
        assert "waits in the queue" in answer.json()["detail"]

    @pytest.mark.parametrize("accept", ["application/json", "*/*", "text/plain, application/*;q=0.1", ""])
    def test_a_report_is_json_where_json_is_acceptable(self, client, body, jobs, accept):
        audit = submit(client, body).json()
        jobs.succeed(audit["id"])

        answer = client.get(audit["links"]["report"], headers={"Accept": accept})

        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")

    @pytest.mark.parametrize(
        ("accept", "media_type", "beginning"),
        [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html", "<!doctype html>"),
            ("text/markdown", "text/markdown", "## "),
            ("application/xml", "application/xml", "<?xml"),
            ("application/sarif+json", "application/sarif+json", "{"),
            ("text/csv", "text/csv", "split,row,code"),
            ("text/vnd.fitcheck.model-card", "text/vnd.fitcheck.model-card", "---\ntags:"),
            ("application/vnd.apache.parquet", "application/vnd.apache.parquet", "PAR1"),
        ],
    )
    def test_a_report_comes_in_the_form_that_is_asked_for(self, client, body, jobs, accept, media_type, beginning):
        """The first is what browsers send."""
        audit = submit(client, body).json()
        jobs.succeed(audit["id"])
        answer = client.get(audit["links"]["report"], headers={"Accept": accept})

        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith(media_type)
        assert answer.content.startswith(beginning.encode())
        assert answer.headers["Vary"] == "Accept"

    def test_the_page_forbids_everything_that_it_does_not_bring(self, client, body, jobs):
        audit = submit(client, body).json()
        jobs.succeed(audit["id"])
        answer = client.get(audit["links"]["report"], headers={"Accept": "text/html"})

        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy

    @pytest.mark.parametrize("accept", ["image/png", "application/json;q=0", "image/*"])
    def test_a_report_in_no_acceptable_form_is_refused(self, client, body, jobs, accept):
        audit = submit(client, body).json()
        jobs.succeed(audit["id"])
        answer = client.get(audit["links"]["report"], headers={"Accept": accept})

        assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")
        assert answer.json()["detail"].startswith(
            "None of the formats in Accept is available. Ask for application/json"
        )
        assert answer.headers["Content-Type"] == PROBLEM

    def test_a_cancelled_job_says_so(self, client, body):
        audit = submit(client, body).json()
        answer = client.post(audit["links"]["cancel"])

        assert (answer.status_code, answer.json()["status"]) == (202, "cancelled")

    def test_cancelling_a_finished_job_changes_nothing(self, client, body, jobs):
        audit = submit(client, body).json()
        jobs.succeed(audit["id"])

        assert client.post(audit["links"]["cancel"]).json()["status"] == "succeeded"

    def test_cancelling_an_unknown_job_is_not_found(self, client):
        assert client.post("/v1/audits/audit-9999/cancel").status_code == 404


class TestListing:
    @pytest.fixture
    def audits(self, client, body, jobs):
        tags = [{"team": "a"}, {"team": "b"}, {"team": "a", "env": "x:y"}]
        ids = [submit(client, {**body, "tags": t}).json()["id"] for t in tags]
        jobs.succeed(ids[0], "fail")
        jobs.start(ids[1])
        return ids

    def ids(self, client, **query):
        return [job["id"] for job in client.get("/v1/audits", params=query).json()["items"]]

    def test_newest_first(self, client, audits):
        assert self.ids(client) == audits[::-1]

    def test_pages_follow_each_other(self, client, audits):
        first = client.get("/v1/audits", params={"limit": 2}).json()
        second = client.get("/v1/audits", params={"limit": 2, "cursor": first["next_cursor"]}).json()

        assert [job["id"] for job in first["items"] + second["items"]] == audits[::-1]
        assert second["next_cursor"] is None

    def test_filters_by_status_verdict_and_tags(self, client, audits):
        assert self.ids(client, status=["running", "queued"]) == [audits[2], audits[1]]
        assert self.ids(client, verdict="fail") == [audits[0]]
        assert self.ids(client, tag="team:a") == [audits[2], audits[0]]
        assert self.ids(client, tag=["team:a", "env:x:y"]) == [audits[2]]

    def test_a_foreign_cursor_is_refused(self, client):
        answer = client.get("/v1/audits", params={"cursor": "nonsense"})

        assert (answer.status_code, answer.json()["code"]) == (400, "bad_cursor")

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ({"status": "done"}, "status"),
            ({"verdict": "good"}, "verdict"),
            ({"tag": "team"}, "tag"),
            ({"tag": ["team:a", "team:b"]}, "tag"),
            ({"limit": 0}, "limit"),
            ({"limit": 201}, "limit"),
            ({"limit": "x"}, "limit"),
            ({"limit": "+5"}, "limit"),
            ({"statu": "queued"}, "statu"),
        ],
    )
    def test_an_invalid_filter_is_refused_and_named(self, client, query, field):
        answer = client.get("/v1/audits", params=query)

        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        assert answer.json()["field"].split(".")[0] == field

    def test_an_unknown_filter_is_answered_with_the_known_ones(self, client):
        assert "verdict" in client.get("/v1/audits", params={"statu": "queued"}).json()["detail"]


class TestUnavailable:
    def test_a_database_that_is_away_is_told_with_when_to_try_again(self, client, body, jobs):
        jobs.broken = DatabaseUnavailable()
        for answer in (submit(client, body), client.get("/v1/audits"), client.get("/v1/audits/audit-1")):
            assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
            assert int(answer.headers["Retry-After"]) > 0

    def test_a_full_queue_is_told_with_when_to_try_again(self, client, body, jobs):
        jobs.broken = QueueFull(1000)
        answer = submit(client, body)

        assert (answer.status_code, answer.json()["code"]) == (429, "queue_full")
        assert int(answer.headers["Retry-After"]) > 0

    def test_a_fault_of_ours_tells_nothing_of_its_cause(self, client, jobs):
        jobs.broken = RuntimeError("the secret")
        with capture_logs():
            answer = client.get("/v1/audits")

        assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
        assert "secret" not in answer.text
        assert answer.headers["Content-Type"] == PROBLEM
        assert answer.headers["X-Request-ID"]


@pytest.mark.parametrize(("limit", "queue"), [(1, "large"), (10**9, None)])
def test_a_large_model_goes_to_its_queue(client_of, body, jobs, limit, queue):
    client = client_of(large_model_bytes=limit, large_model_queue="large")

    assert submit(client, body).status_code == 202
    assert jobs.large_model_queue == queue
