"""What holds for every path: problems, keys, headers, health, documentation."""

import re

import pytest
from structlog.testing import capture_logs

from schemas.isolation import Isolation
from service.api.access import caller_of
from service.jobs.errors import DatabaseUnavailable

KEYS = {"api_keys": ("first-key", "second-key")}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


class TestProblems:
    def test_an_unknown_path_is_not_found(self, client):
        answer = client.get("/v1/nothing")

        assert answer.status_code == 404
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json() == {
            "type": "urn:fitcheck:problem:path_not_found",
            "title": "Path not found",
            "status": 404,
            "code": "path_not_found",
            "detail": "There is nothing here. GET /docs lists what there is.",
            "instance": "/v1/nothing",
        }

    @pytest.mark.parametrize(
        ("method", "path", "allowed"),
        [
            ("DELETE", "/v1/audits", "HEAD, POST, GET"),
            ("POST", "/v1/audits/audit-1/report", "HEAD, GET"),
            ("GET", "/v1/audits/audit-1/cancel", "POST"),
            ("PUT", "/healthz", "HEAD, GET"),
            ("POST", "/docs", "GET, HEAD"),
        ],
    )
    def test_a_wrong_method_is_answered_with_the_right_ones(self, client, method, path, allowed):
        answer = client.request(method, path)

        assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
        assert answer.headers["Allow"] == allowed
        assert answer.json()["detail"] == f"This address does not take {method}; it takes {allowed}."

    def test_a_trailing_slash_is_another_path(self, client):
        assert client.get("/v1/audits/").status_code == 404


class TestKeys:
    @pytest.mark.parametrize(
        "headers",
        [{}, bearer("wrong"), bearer(""), {"Authorization": "Basic first-key"}, {"Authorization": "first-key"}],
    )
    @pytest.mark.parametrize("path", ["/v1/audits", "/v1/audits/audit-1/report", "/v1/catalogue"])
    def test_without_a_right_key_nothing_is_told(self, client_of, path, headers):
        answer = client_of(**KEYS).get(path, headers=headers)

        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")

    def test_without_a_key_no_body_is_read(self, client_of):
        """An invalid body is not even looked at."""
        assert client_of(**KEYS).post("/v1/audits", content=b"{").status_code == 401

    @pytest.mark.parametrize("key", KEYS["api_keys"])
    def test_each_configured_key_opens(self, client_of, key):
        assert client_of(**KEYS).get("/v1/audits", headers=bearer(key)).status_code == 200

    def test_the_scheme_is_case_insensitive(self, client_of):
        answer = client_of(**KEYS).get("/v1/audits", headers={"Authorization": "bearer first-key"})

        assert answer.status_code == 200

    def test_callers_see_their_own_audits_alone(self, client_of, body):
        client = client_of(**KEYS)
        audit = client.post("/v1/audits", json=body, headers=bearer("first-key")).json()

        assert client.get(audit["links"]["self"], headers=bearer("second-key")).status_code == 404
        assert client.get("/v1/audits", headers=bearer("second-key")).json()["items"] == []
        assert len(client.get("/v1/audits", headers=bearer("first-key")).json()["items"]) == 1

    def test_the_stored_caller_does_not_hold_the_key(self, client_of, body, jobs):
        client_of(**KEYS).post("/v1/audits", json=body, headers=bearer("first-key"))

        assert jobs.stored[0].caller == caller_of("first-key")
        assert "first" not in jobs.stored[0].caller

    @pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/openapi.json"])
    def test_health_and_documentation_need_no_key(self, client_of, path):
        assert client_of(**KEYS).get(path).status_code == 200


class TestHeaders:
    @pytest.mark.parametrize("path", ["/v1/audits", "/healthz", "/v1/nothing", "/docs"])
    def test_answers_are_neither_sniffed_nor_kept(self, client, path):
        answer = client.get(path)

        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"

    def test_the_clients_request_id_comes_back(self, client):
        assert client.get("/healthz", headers={"X-Request-ID": "abc-1.2"}).headers["X-Request-ID"] == "abc-1.2"

    @pytest.mark.parametrize("sent", ["", "a b", "x" * 65, '"}\t{"'])
    def test_an_unsafe_request_id_is_replaced(self, client, sent):
        got = client.get("/healthz", headers={"X-Request-ID": sent}).headers["X-Request-ID"]

        assert len(got) == 32
        assert got != sent

    def test_head_answers_what_get_answers_without_the_body(self, client):
        head, get = client.head("/healthz"), client.get("/healthz")

        assert head.status_code == 200
        assert head.content == b""
        assert head.headers["Content-Length"] == get.headers["Content-Length"]


class TestLog:
    def test_each_request_is_one_line(self, client):
        with capture_logs() as lines:
            client.get("/v1/audits", headers={"X-Request-ID": "one"})

        (line,) = lines
        assert (line["event"], line["method"], line["path"], line["status"], line["request_id"]) == (
            "request",
            "GET",
            "/v1/audits",
            200,
            "one",
        )
        assert 0 <= line["seconds"] < 60

    @pytest.mark.parametrize(("slots", "level"), [(1, "debug"), (0, "info")])
    def test_probes_are_quiet_while_they_succeed(self, client, jobs, slots: int, level: str):
        jobs.slots = slots
        with capture_logs() as lines:
            client.get("/readyz")

        assert [line["log_level"] for line in lines] == [level]

    def test_a_fault_of_ours_is_logged_with_its_cause(self, client, jobs):
        jobs.broken = RuntimeError("the secret")
        with capture_logs() as lines:
            client.get("/v1/audits", headers={"X-Request-ID": "two"})

        failure = next(line for line in lines if line["event"] == "request_failed")
        assert failure["exc_info"]
        assert failure["request_id"] == "two"

    def test_keys_are_not_logged(self, client_of):
        with capture_logs() as lines:
            client_of(**KEYS).get("/v1/audits", headers=bearer("first-key"))

        assert "first-key" not in str(lines)


class TestHealth:
    def test_alive_whatever_else_is_broken(self, client, jobs):
        jobs.broken = RuntimeError("all of it")

        assert client.get("/healthz").json() == {"status": "alive"}

    def test_ready_with_a_database_and_a_worker(self, client):
        told = client.get("/readyz").json()

        assert (told["status"], told["workers"]) == ("ready", 1)

    def test_says_what_models_are_locked_in_by(self, client_of, monkeypatch):
        asked = []
        found = Isolation(level="strong", landlock_abi=2, seccomp=True, network="denied")
        monkeypatch.setattr("service.api.app.probe", lambda sandbox: asked.append(sandbox) or found)

        assert client_of(sandbox="require").get("/readyz").json()["isolation"] == found.model_dump()
        assert asked == ["require"]

    def test_not_ready_without_a_worker(self, client, jobs):
        jobs.slots = 0
        answer = client.get("/readyz")

        assert (answer.status_code, answer.json()["code"]) == (503, "no_worker")
        assert "Retry-After" in answer.headers

    def test_not_ready_without_a_database(self, client, jobs):
        jobs.broken = DatabaseUnavailable()
        answer = client.get("/readyz")

        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")


class TestCatalogue:
    def test_lists_every_finding(self, client):
        codes = [entry["code"] for entry in client.get("/v1/catalogue").json()["items"]]

        assert "preprocessing.scaling_mismatch" in codes
        assert len(codes) == len(set(codes))

    def test_gives_one_finding_with_its_limits(self, client):
        entry = client.get("/v1/catalogue/preprocessing.scaling_mismatch").json()

        assert entry["family"] == "preprocessing"
        assert {k: entry["limits"][1 + 1][k] for k in ("name", "default")} == {"name": "min_rows", "default": 30}

    def test_an_unknown_code_is_not_found(self, client):
        answer = client.get("/v1/catalogue/metrics.nonsense")

        assert (answer.status_code, answer.json()["code"]) == (404, "finding_not_found")


class TestDocumentation:
    def test_the_pages_lead_to_it(self, client):
        assert 'href="/docs"' in client.get("/").text

    def test_the_page_lists_every_operation(self, client):
        page = client.get("/docs").text
        for path, operations in client.get("/openapi.json").json()["paths"].items():
            for method in operations:
                assert f"<b>{method.upper()}</b> <code>{path}</code>" in page

    def test_the_page_needs_nothing_from_elsewhere(self, client):
        answer = client.get("/docs")

        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "<script" not in answer.text
        assert "src=" not in answer.text

    def test_a_hostile_host_header_does_not_reach_the_page_as_markup(self, client):
        assert "<b>x" not in client.get("/docs", headers={"Host": "<b>x</b>"}).text

    def test_the_document_is_openapi_3_1_with_problems_for_every_operation(self, client):
        document = client.get("/openapi.json").json()

        assert document["openapi"].startswith("3.1")
        for path, operations in document["paths"].items():
            for operation in operations.values():
                failures = {s: a for s, a in operation["responses"].items() if int(s) >= 400}
                assert "500" in failures, path
                assert all(list(a["content"]) == ["application/problem+json"] for a in failures.values()), path

    def test_every_reference_in_the_document_leads_somewhere(self, client):
        document = client.get("/openapi.json").json()
        text = client.get("/openapi.json").text
        for name in set(re.findall(r'"#/components/schemas/([^"]+)"', text)):
            assert name in document["components"]["schemas"], name
        assert "HTTPValidationError" not in text
