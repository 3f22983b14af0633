"""What a request must keep to: how many, how long, how deep, from where; and what every answer carries."""

import asyncio
import json
import time

import pytest
from pydantic_core import from_json

from schemas.problem import ProblemError
from service.api import bodies, limits
from service.api.limits import RateLimiter

KEYS = {"api_keys": ("alice", "bob")}
ALICE, BOB = ({"Authorization": f"Bearer {key}"} for key in KEYS["api_keys"])


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class TestRateLimiter:
    def test_a_burst_and_then_one_at_a_time(self):
        clock = Clock()
        limiter = RateLimiter(60, 3, clock)
        for left in (2, 1, 0):
            assert f"r={left};" in limiter.take("a")["RateLimit"]
        with pytest.raises(ProblemError) as caught:
            limiter.take("a")
        assert caught.value.headers["Retry-After"] == "1"
        clock.now += 1

        assert "r=0;" in limiter.take("a")["RateLimit"]

    def test_who_waits_gains_no_more_than_a_burst(self):
        clock = Clock()
        limiter = RateLimiter(60, 2, clock)
        clock.now += 1000
        limiter.take("a")
        limiter.take("a")
        with pytest.raises(ProblemError):
            limiter.take("a")

    def test_callers_are_counted_apart(self):
        limiter = RateLimiter(1, 1, Clock())
        limiter.take("a")

        assert limiter.take("b")

    def test_memory_is_bounded(self, monkeypatch):
        monkeypatch.setattr(limits, "MAX_BUCKETS", 3)
        limiter = RateLimiter(1, 1, Clock())
        for who in "abcd":
            limiter.take(who)

        assert list(limiter._buckets) == ["b", "c", "d"]

    def test_zero_is_no_limit(self):
        limiter = RateLimiter(0, 1, Clock())

        assert [limiter.take("a") for _ in range(5)] == [{}] * 5


class TestRequests:
    def test_too_many_are_refused_by_caller(self, client_of):
        client = client_of(rate_limit=1, rate_burst=2, **KEYS)
        answers = [client.get("/v1/audits", headers=ALICE) for _ in range(3)]

        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[0].headers["RateLimit-Policy"] == '"caller";q=1;w=60'
        assert answers[-1].json()["code"] == "rate_limited"
        assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
        assert client.get("/v1/audits", headers=BOB).status_code == 200

    def test_guesses_of_keys_are_counted_by_address_and_lock_nobody_out(self, client_of):
        client = client_of(rate_limit=1, rate_burst=2, **KEYS)
        answers = [client.get("/v1/audits", headers={"Authorization": f"Bearer {i}"}) for i in range(3)]

        assert [answer.status_code for answer in answers] == [401, 401, 429]
        assert client.get("/v1/audits", headers=ALICE).status_code == 200

    def test_probes_are_not_counted(self, client_of):
        client = client_of(rate_limit=1, rate_burst=1)

        assert [client.get("/healthz").status_code for _ in range(5)] == [200] * 5

    def test_a_long_query_is_refused(self, client):
        answer = client.get("/v1/audits", params={"tag": "k:" + "v" * 9000})

        assert (answer.status_code, answer.json()["code"]) == (414, "query_too_long")

    def test_many_headers_are_refused(self, client):
        answer = client.get("/v1/audits", headers={f"X-{i}": "x" for i in range(120)})

        assert (answer.status_code, answer.json()["code"]) == (431, "too_many_headers")

    @pytest.mark.parametrize("depth", [65, 10_000, 1_000_000])
    @pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
    def test_deep_json_is_refused(self, client, depth, opening, closing):
        body = opening * depth + "1" + closing * depth
        answer = client.post("/v1/audits", content=body[: 4 * 2**20], headers={"Content-Type": "application/json"})

        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")

    def test_a_text_without_end_is_refused_at_once(self, client):
        """Each of its quotes may begin a text: looked at anew from each of them, this takes half a minute."""
        body = '"' + '\\"' * 32_000
        begun = time.monotonic()
        answer = client.post("/v1/audits", content=body, headers={"Content-Type": "application/json"})

        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")
        assert time.monotonic() - begun < 5

    def test_others_are_answered_while_a_body_is_parsed(self, client, body, monkeypatch):
        parsed = []

        def parse(content, **options):
            with pytest.raises(RuntimeError, match="no running event loop"):
                asyncio.get_running_loop()
            parsed.append(content)
            return from_json(content, **options)

        monkeypatch.setattr(bodies, "from_json", parse)

        assert client.post("/v1/audits", json=body).status_code == 202
        assert len(parsed) == 1

    def test_shallow_json_is_judged_by_its_fields(self, client):
        body = json.dumps({"a": [[[{"b": 1}]]]})
        answer = client.post("/v1/audits", content=body, headers={"Content-Type": "application/json"})

        assert answer.json()["code"] == "invalid_request"

    @pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://fitcheck.test:81"])
    def test_a_page_of_another_site_changes_nothing_where_there_are_no_keys(self, client, origin):
        """A form may be sent from anywhere, and the service takes everyone for its user."""
        answer = client.post("/v1/uploads", files={"file": ("a.csv", b"x")}, headers={"Origin": origin})

        assert (answer.status_code, answer.json()["code"]) == (403, "cross_site_request")
        assert client.get("/v1/uploads").json()["items"] == []

    def test_a_page_of_the_service_may(self, client):
        headers = {"Origin": "http://fitcheck.test"}

        assert client.post("/v1/uploads", files={"file": ("a.csv", b"x")}, headers=headers).status_code == 201


class TestHeaders:
    @pytest.mark.parametrize("path", ["/v1/audits", "/healthz", "/v1/nothing", "/docs", "/"])
    def test_a_browser_is_told_what_not_to_do(self, client, path):
        headers = client.get(path).headers

        # a page with forms says to its own service where they come from
        assert headers["Referrer-Policy"] == ("same-origin" if path == "/" else "no-referrer")
        assert headers["X-Frame-Options"] == "DENY"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]

    def test_problems_too(self, client):
        assert client.get("/v1/audits", params={"tag": "v" * 9000}).headers["X-Content-Type-Options"] == "nosniff"
