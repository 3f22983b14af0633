"""The pages over HTTP: what they show, who may see them, and what other sites cannot do."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from schemas.job import Progress
from schemas.problem import Problem
from service.access.store import Keys
from service.api import following
from service.api.access import caller_of
from service.api.app import create_app
from service.formats.registry import FORMATS
from service.jobs.database import connect, migrate
from service.jobs.errors import DatabaseUnavailable
from service.jobs.interface import JobFilter
from service.pages.session import SESSION, Sessions
from service.settings import Settings
from service.uploads.store import Uploads
from tests.service.asgi import AsgiTransport
from tests.service.cli.reports import whole_report
from tests.service.conftest import make_request
from tests.service.fakes import FakeJobs

EXAMPLES = Path(__file__).parents[3] / "examples"
KEYS = {"api_keys": ("first-key", "second-key")}
FORM = {
    "model.uri": str(EXAMPLES / "wrong_scaling" / "model"),
    "data.train.uri": str(EXAMPLES / "wrong_scaling" / "train.csv"),
    "data.validation.uri": str(EXAMPLES / "wrong_scaling" / "validation.csv"),
    "data.label": "benign",
}


@pytest.fixture
def jobs() -> FakeJobs:
    return FakeJobs()


@pytest.fixture
def browser_of(jobs: FakeJobs, tmp_path: Path) -> Callable[..., httpx.Client]:
    """Makes browsers of a service with these settings: they keep cookies, and say where they come from."""
    engines = []

    def make(scheme: str = "http", **settings: object) -> httpx.Client:
        chosen = Settings(**{"data_roots": (EXAMPLES,), "state_dir": tmp_path, "rate_limit": 0, **settings})
        engine = connect(chosen)
        engines.append(engine)
        migrate(chosen, engine)
        app = create_app(chosen, jobs, uploads=Uploads(chosen, engine), keys=Keys(engine))
        client = httpx.Client(transport=AsgiTransport(app), base_url=f"{scheme}://fitcheck.test")
        client.headers["Origin"] = f"{scheme}://fitcheck.test"
        client.app = app
        return client

    yield make
    for engine in engines:
        engine.dispose()


@pytest.fixture
def browser(browser_of) -> httpx.Client:
    return browser_of()


def token_in(answer: httpx.Response) -> str:
    return re.search(r'name="token" value="([0-9a-f]+)"', answer.text)[1]


def logged_in(browser: httpx.Client, key: str = "first-key") -> httpx.Client:
    token = token_in(browser.get("/login"))
    assert browser.post("/login", data={"key": key, "token": token}).status_code == 303
    return browser


def submitted(jobs: FakeJobs, caller: str = "anonymous", **fields: object) -> str:
    return jobs.submit(make_request(**fields), caller=caller)[0].id


class TestList:
    @pytest.mark.parametrize("path", ["/", "/audits"])
    def test_without_audits_it_says_how_to_submit_one(self, browser, path):
        page = browser.get(path)

        assert page.status_code == 200
        assert "curl -s http://fitcheck.test/v1/audits" in page.text
        assert 'href="/audits/new"' in page.text

    def test_newest_comes_first(self, browser, jobs):
        old, new = submitted(jobs), submitted(jobs)
        page = browser.get("/audits").text

        assert page.index(new) < page.index(old)

    def test_filters_leave_out_the_others(self, browser, jobs):
        growth, other = submitted(jobs, tags={"team": "growth"}), submitted(jobs, tags={"team": "other"})
        jobs.succeed(growth, "warn")
        for query in ({"tag": "team:growth"}, {"status": "succeeded"}, {"verdict": "warn"}):
            page = browser.get("/audits", params=query).text
            assert growth in page
            assert other not in page

    def test_pages_lead_to_older_ones_and_keep_the_filter(self, browser, jobs):
        made = [submitted(jobs, tags={"a": "b"}) for _ in range(26)]
        page = browser.get("/audits", params={"tag": "a:b"}).text
        older = re.search(r'rel="next" href="([^"]+)"', page)[1].replace("&amp;", "&")

        assert made[0] not in page
        assert "tag=a%3Ab" in older
        assert made[0] in browser.get(older).text

    def test_a_malformed_tag_is_told_at_its_field(self, browser):
        page = browser.get("/audits", params={"tag": "nonsense"})

        assert page.status_code == 422
        assert 'id="tag-problem">Write key:value' in page.text
        assert 'value="nonsense"' in page.text

    def test_a_foreign_cursor_is_a_page_that_says_so(self, browser):
        page = browser.get("/audits", params={"cursor": "!"})

        assert (page.status_code, page.headers["Content-Type"]) == (400, "text/html; charset=utf-8")
        assert "Bad cursor" in page.text

    def test_nothing_that_was_typed_becomes_markup(self, browser, jobs):
        submitted(jobs, tags={"<b>": "<script>alert(1)</script>"})

        assert "<script>alert" not in browser.get("/audits").text
        assert "<script>alert" not in browser.get("/audits", params={"tag": "<script>alert(1)"}).text


class TestAudit:
    def test_while_it_runs_its_stage_and_the_time_left_are_shown(self, browser, jobs):
        audit = submitted(jobs)
        jobs.start(audit, Progress(fraction=0.25, stage="collecting", detail="rows"))
        begun = datetime.now(UTC) - timedelta(seconds=60)
        jobs.stored[0].job = jobs.stored[0].job.model_copy(update={"started_at": begun})
        page = browser.get(f"/audits/{audit}").text

        assert "<dd data-percent>25 %</dd>" in page
        assert re.search(r"<dd data-elapsed>1 min [0-9] s</dd>", page)
        assert re.search(r"<dd data-left>about 3 min \d+ s</dd>", page)
        assert re.search(r'data-stage="collecting"[^>]* class="current" aria-current="step"', page)

    def test_what_an_audit_has_passed_is_done(self, browser, jobs):
        """The engine repairs before it checks: a page in another order would take it for repaired only when done."""
        audit = submitted(jobs)
        jobs.start(audit, Progress(fraction=0.8, stage="checking"))
        page = browser.get(f"/audits/{audit}").text

        states = dict(re.findall(r'data-stage="(\w+)"[^>]* class="(\w*)"', page))
        assert list(states.items()) == [
            *(("opening", "done"), ("collecting", "done"), ("repairing", "done")),
            *(("checking", "current"), ("diagnosing", "")),
        ]

    def test_a_failed_one_says_where_it_lies(self, browser, jobs):
        audit = submitted(jobs)
        problem = Problem(title="Label missing", detail="There is no <b>.", code="label_missing", file="a.csv", row=3)
        jobs.fail(audit, problem)
        page = browser.get(f"/audits/{audit}").text

        assert ">could not run</span>" in browser.get("/audits").text
        assert "There is no &lt;b&gt;." in page
        assert "<dt>file</dt><dd><code>a.csv</code></dd>" in page
        assert "<dt>row, counted from 0</dt><dd><code>3</code></dd>" in page

    def test_a_succeeded_one_leads_to_its_report_within_the_site(self, browser, jobs):
        audit = submitted(jobs)
        jobs.succeed(audit)
        jobs.reports[audit] = whole_report()
        answer = browser.get(f"/audits/{audit}")

        assert (answer.status_code, answer.headers["Location"]) == (303, f"/audits/{audit}/report")
        page = browser.get(answer.headers["Location"]).text
        assert "The validation data were never standardised." in page
        assert 'aria-label="Pages"' in page

    def test_the_report_is_saved_in_every_form(self, browser, jobs):
        audit = submitted(jobs)
        jobs.reports[audit] = whole_report()
        for form in FORMATS:
            answer = browser.get(f"/audits/{audit}/report", params={"form": form})
            assert answer.status_code == 200
            told = f'attachment; filename="fitcheck-{audit}.{FORMATS[form].suffix}"'
            assert answer.headers["Content-Disposition"] == told

    @pytest.mark.parametrize("path", ["/audits/nothing", "/audits/nothing/report", "/compare?a=x&b=y", "/catalogue/no"])
    def test_what_is_not_there_is_a_page_too(self, browser, path):
        answer = browser.get(path)

        assert answer.status_code == 404
        assert "<h1" in answer.text

    @pytest.mark.parametrize("path", ["/audits/events", "/compare"])
    @pytest.mark.parametrize("parameters", [{"id": ["\0", "x"]}, {"a": "a\0", "b": "x"}])
    def test_what_no_id_holds_is_not_looked_up(self, browser, jobs, monkeypatch, path, parameters):
        """PostgreSQL takes no NUL, and fails."""

        def look_up(id_: str, **_: object) -> None:
            raise AssertionError(id_)

        monkeypatch.setattr(jobs, "get", look_up)
        monkeypatch.setattr(jobs, "report", look_up)
        answer = browser.get(path, params=parameters)

        assert answer.status_code == (204 if "a" in parameters and path == "/audits/events" else 404)

    def test_a_stream_of_several_audits_needs_room_for_each(self, browser, jobs, monkeypatch):
        monkeypatch.setattr(following, "MAX_FOLLOWERS", 2)
        audits = [submitted(jobs) for _ in range(3)]

        assert browser.get("/audits/events", params={"id": audits}).status_code == 429

    def test_without_a_database_it_says_so(self, browser, jobs):
        jobs.broken = DatabaseUnavailable()
        answer = browser.get("/audits")

        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        assert "Nothing was lost" in answer.text


class TestForm:
    def send(self, browser: httpx.Client, **fields: str) -> httpx.Response:
        page = browser.get("/audits/new")
        return browser.post("/audits/new", data={**FORM, "token": token_in(page), **fields})

    def test_what_was_typed_is_submitted(self, browser, jobs):
        more = {
            "data.features": "a, pos:2, re:^x",
            "data.*.csv.header": "false",
            "output.classes": "0, 1",
            "output.threshold": "0.3",
            "reported_metrics": "accuracy=0.9\ntrain:f1",
            "tags": "team:growth\nmodel:7",
            "task": "binary",
            "data.label": "pos:0",
        }
        jobs_before = len(jobs.stored)
        answer = self.send(browser, **more)
        if answer.status_code == 422:  # the preflight knows the files better
            assert "no column" in answer.text
            more |= {"data.features": "", "data.*.csv.header": "", "data.label": "benign"}
            answer = self.send(browser, **more)

        assert answer.status_code == 303, answer.text
        assert len(jobs.stored) == jobs_before + 1
        request = next(iter(jobs.requests.values()))
        assert request.task == "binary"
        assert request.output.classes == [0, 1]
        assert request.output.threshold == 0.3
        assert [(one.name, one.value, one.split) for one in request.reported_metrics] == [
            ("accuracy", 0.9, "validation"),
            ("f1", None, "train"),
        ]
        assert request.tags == {"team": "growth", "model": "7"}

    @pytest.mark.parametrize(
        ("name", "text", "told"),
        [
            ("model.uri", "", "This field is required"),
            ("model.uri", str(EXAMPLES / "nothing"), "nothing"),
            ("data.train.uri", "/etc/passwd", "FITCHECK_DATA_ROOT"),
            ("data.label", "no_such_column", "no_such_column"),
            ("output.threshold", "much", "number"),
            ("output.threshold", "2", "less than or equal"),
            ("data.*.csv.delimiter", "abc", "one ASCII character"),
            ("data.group", "pos:x", "pos:0"),
            ("tags", "nonsense", "key:value"),
            ("checks.limits", "nonsense", "check.limit=value"),
            ("checks.include", "metrics.nonsense", "no check"),
            ("callback.url", "https://example.com", "no webhooks"),
            ("reported_metrics", "accuracy=good", "metric=number"),
        ],
    )
    def test_a_problem_stands_at_the_field_to_blame_and_nothing_typed_is_lost(self, browser, jobs, name, text, told):
        answer = self.send(browser, **{"data.id": "x < y", name: text})
        field = re.search(
            rf'<div class="field bad">\s*<label for="{re.escape(name)}">.*?</div>', answer.text, re.DOTALL
        )

        assert 400 <= answer.status_code < 500
        assert jobs.stored == []
        assert field, answer.text
        assert told in field[0]
        assert 'value="x &lt; y"' in answer.text

    def test_sent_twice_it_is_one_audit_and_changed_another(self, browser, jobs):
        page = browser.get("/audits/new")
        sent = {**FORM, "token": token_in(page), "once": "abc"}
        first, again = (browser.post("/audits/new", data=sent).headers["Location"] for _ in range(2))
        other = browser.post("/audits/new", data={**sent, "tags": "a:b"}).headers["Location"]

        assert first == again != other
        assert len(jobs.stored) == 2

    def test_a_chosen_file_is_sent_and_named(self, browser):
        token = token_in(browser.get("/audits/new"))
        headers = {"X-Form-Token": token, "Content-Type": "application/octet-stream"}
        answer = browser.post("/uploads", params={"name": "train.csv"}, content=b"a,b\n1,2\n", headers=headers)

        assert answer.status_code == 200, answer.text
        assert answer.json()["uri"].startswith("upload://")


class TestForgery:
    """Another site's page can neither send our forms nor make a browser send them."""

    @pytest.mark.parametrize("origin", ["https://evil.example", "null"])
    @pytest.mark.parametrize("path", ["/audits/new", "/audits/audit-0001/cancel", "/login", "/uploads"])
    def test_a_form_from_elsewhere_is_refused(self, browser, jobs, origin, path):
        audit = submitted(jobs)
        token = token_in(browser.get("/audits/new"))
        data = {**FORM, "token": token, "key": "x"}
        answer = browser.post(path, data=data, headers={"Origin": origin, "X-Form-Token": token})

        assert answer.status_code == 403
        assert jobs.get(audit, caller="anonymous").status == "queued"
        assert len(jobs.stored) == 1

    @pytest.mark.parametrize("token", ["", "0" * 64])
    @pytest.mark.parametrize("path", ["/audits/new", "/audits/audit-0001/cancel", "/uploads"])
    def test_a_form_without_its_token_is_refused(self, browser, jobs, token, path):
        submitted(jobs)
        browser.get("/audits/new")
        answer = browser.post(path, data={**FORM, "token": token}, headers={"X-Form-Token": token})

        assert answer.status_code == 403
        assert [stored.job.status for stored in jobs.stored] == ["queued"]

    def test_a_form_that_is_refused_is_shown_again_with_what_was_typed(self, browser):
        answer = browser.post("/audits/new", data=FORM)

        assert "open for too long" in answer.text
        assert FORM["model.uri"] in answer.text

    def test_a_token_of_another_browser_does_not_fit(self, browser_of, jobs):
        foreign = token_in(browser_of().get("/audits/new"))
        browser = browser_of()
        browser.get("/audits/new")

        assert browser.post("/audits/new", data={**FORM, "token": foreign}).status_code == 403
        assert jobs.stored == []


class TestSession:
    @pytest.mark.parametrize(
        "path", ["/", "/audits/new", "/audits/audit-0001", "/compare", "/catalogue", "/audits/events"]
    )
    def test_who_is_not_logged_in_sees_nothing(self, browser_of, path):
        answer = browser_of(**KEYS).get(path)

        assert answer.status_code == 303
        assert answer.headers["Location"].startswith("/login?next=%2F")

    def test_a_key_logs_in_and_leads_back(self, browser_of):
        browser = browser_of(**KEYS)
        page = browser.get("/login", params={"next": "/catalogue"})
        answer = browser.post("/login", data={"key": "first-key", "token": token_in(page), "next": "/catalogue"})

        assert (answer.status_code, answer.headers["Location"]) == (303, "/catalogue")
        assert browser.get("/catalogue").status_code == 200

    @pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/\\evil.example", "", "/\n/x"])
    def test_the_login_leads_nowhere_else(self, browser_of, target):
        browser = browser_of(**KEYS)
        token = token_in(browser.get("/login"))
        answer = browser.post("/login", data={"key": "first-key", "token": token, "next": target})

        assert answer.headers["Location"] == "/audits"

    @pytest.mark.parametrize("key", ["", "wrong", "x" * 600])
    def test_a_wrong_key_opens_nothing(self, browser_of, key):
        browser = browser_of(**KEYS)
        answer = browser.post("/login", data={"key": key, "token": token_in(browser.get("/login"))})

        assert answer.status_code == 401
        assert SESSION not in browser.cookies

    def test_a_login_that_was_open_for_too_long_is_shown_again(self, browser_of):
        browser = browser_of(**KEYS)
        answer = browser.post("/login", data={"key": "first-key", "token": "0" * 64})

        assert answer.status_code == 403
        assert "Enter the key again" in answer.text
        assert SESSION not in browser.cookies

    def test_guesses_are_slow(self, browser_of):
        browser = browser_of(**KEYS, rate_limit=60, rate_burst=3)
        token = token_in(browser.get("/login"))
        answers = [browser.post("/login", data={"key": f"k{n}", "token": token}).status_code for n in range(6)]

        assert answers[-1] == 429

    @pytest.mark.parametrize(("scheme", "is_secure"), [("http", False), ("https", True)])
    def test_the_cookie_is_out_of_reach(self, browser_of, scheme, is_secure):
        browser = browser_of(scheme, **KEYS)
        token = token_in(browser.get("/login"))
        cookie = browser.post("/login", data={"key": "first-key", "token": token}).headers["Set-Cookie"]

        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert ("Secure" in cookie) is is_secure
        assert "Max-Age=43200" in cookie
        assert "first-key" not in cookie

    def test_callers_see_their_own_audits_alone(self, browser_of, jobs):
        audit = submitted(jobs, caller_of("second-key"))
        first, second = (logged_in(browser_of(**KEYS), key) for key in KEYS["api_keys"])

        assert audit not in first.get("/audits").text
        assert first.get(f"/audits/{audit}").status_code == 404
        assert audit in second.get("/audits").text

    def test_the_api_takes_no_session(self, browser_of):
        assert logged_in(browser_of(**KEYS)).get("/v1/audits").status_code == 401

    def test_logging_out_ends_it(self, browser_of):
        browser = logged_in(browser_of(**KEYS))
        browser.post("/logout", data={"token": token_in(browser.get("/audits"))})

        assert browser.get("/audits").status_code == 303

    @pytest.mark.parametrize("change", ["end", "reference", "signature"])
    def test_a_changed_cookie_is_none(self, browser_of, change):
        browser = logged_in(browser_of(**KEYS))
        reference, end, nonce, signature = browser.cookies[SESSION].split(".")
        changed = {
            "end": (reference, str(int(end) + 9), nonce, signature),
            "reference": (caller_of("second-key"), end, nonce, signature),
            "signature": (reference, end, nonce, "0" * 64),
        }
        browser.cookies.clear()
        browser.cookies.set(SESSION, ".".join(changed[change]))

        assert browser.get("/audits").status_code == 303

    def test_it_ends(self):
        now = 1000.0
        sessions = Sessions(Settings(session_hours=1, session_secret="s"), clock=lambda: now)
        cookie = sessions.new("key-1")
        now += 3599

        assert sessions.reference(cookie) == "key-1"
        now += 1
        assert sessions.reference(cookie) is None

    def test_processes_with_the_same_keys_know_each_others_sessions(self):
        one, other, stranger = (Sessions(Settings(api_keys=keys)) for keys in (("a", "b"), ("a", "b"), ("a",)))

        assert other.reference(one.new("key-1")) == "key-1"
        assert stranger.reference(one.new("key-1")) is None

    def test_a_revoked_key_ends_its_sessions(self, browser_of):
        browser = browser_of()
        keys: Keys = browser.app.state.keys
        made = keys.create("team", ["read", "submit"])
        logged_in(browser, made.text)

        assert browser.get("/audits").status_code == 200
        keys.revoke(made.id)
        assert browser.get("/audits").status_code == 303

    def test_a_key_that_only_reads_submits_nothing(self, browser_of, jobs):
        browser = browser_of()
        logged_in(browser, browser.app.state.keys.create("team", ["read"]).text)
        answer = browser.post("/audits/new", data={**FORM, "token": token_in(browser.get("/audits/new"))})

        assert answer.status_code == 403
        assert jobs.stored == []

    def test_an_admin_sees_everybodys(self, browser_of, jobs):
        audit = submitted(jobs, "somebody")
        browser = browser_of()
        logged_in(browser, browser.app.state.keys.create("ops", ["admin"]).text)

        assert audit in browser.get("/audits").text

    def test_a_session_that_ends_while_a_form_is_filled_loses_nothing(self, browser_of, jobs):
        browser = logged_in(browser_of(**KEYS))
        sent = {**FORM, "token": token_in(browser.get("/audits/new")), "tags": "a:b"}
        browser.cookies.clear()
        refused = browser.post("/audits/new", data=sent)

        assert refused.status_code == 401
        assert FORM["model.uri"] in refused.text
        answer = browser.post("/audits/new", data={**sent, "token": token_in(refused), "key": "first-key"})
        assert answer.status_code == 303
        assert jobs.stored[0].caller == caller_of("first-key")
        assert browser.get(answer.headers["Location"]).status_code == 200


class TestStrangers:
    """What is another caller's answers as what never was, on every page that takes an id."""

    NOBODYS = "0190c3b4-0000-7000-8000-000000000000"

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/audits/{id}"),
            ("GET", "/audits/{id}/events"),
            ("GET", "/audits/{id}/report"),
            ("GET", "/audits/{id}/report?format=json"),
            ("POST", "/audits/{id}/cancel"),
            ("GET", "/audits/events?id={id}"),
            ("GET", "/audits/events?id={mine}&id={id}"),
            ("GET", "/compare?a={id}&b={mine}"),
            ("GET", "/compare?a={mine}&b={id}"),
            ("GET", "/compare?id={id}&id={mine}"),
        ],
    )
    def test_anothers_audit_is_as_one_that_never_was(self, browser_of, jobs, method, path):
        finished, theirs = (submitted(jobs, caller_of("second-key")) for _ in range(2))
        mine = submitted(jobs, caller_of("first-key"))
        for one in (finished, mine):
            jobs.succeed(one)
        browser = logged_in(browser_of(**KEYS))
        form = {"token": token_in(browser.get("/audits"))} if method == "POST" else None

        def answer(id_: str) -> tuple[int, str]:
            told = browser.request(method, path.format(id=id_, mine=mine), data=form)
            return told.status_code, told.text.replace(id_, "ID")

        nobodys = answer(self.NOBODYS)
        assert nobodys[0] == 404
        assert answer(finished) == nobodys
        assert answer(theirs) == nobodys
        assert jobs.get(theirs, caller=None).status == "queued"

    @pytest.mark.parametrize("query", [{}, {"status": "queued"}, {"tag": "team:a"}])
    def test_lists_hold_ones_own_alone_whatever_is_filtered_by(self, browser_of, jobs, query):
        theirs = submitted(jobs, caller_of("second-key"), tags={"team": "a"})

        assert theirs not in logged_in(browser_of(**KEYS)).get("/audits", params=query).text

    def test_anothers_cursor_leads_to_ones_own(self, browser_of, jobs):
        theirs = [submitted(jobs, caller_of("second-key")) for _ in range(3)]
        cursor = jobs.list(caller=caller_of("second-key"), where=JobFilter(), cursor=None, limit=1).next_cursor
        page = logged_in(browser_of(**KEYS)).get("/audits", params={"cursor": cursor})

        assert page.status_code == 200
        assert not [one for one in theirs if one in page.text]


class TestOtherPages:
    def test_two_reports_are_compared(self, browser, jobs):
        ids = [submitted(jobs), submitted(jobs)]
        for one in ids:
            jobs.succeed(one)
        jobs.reports[ids[0]] = whole_report().model_copy(update={"audit_id": ids[0]})
        page = browser.get("/compare", params={"a": ids[0], "b": ids[1]}).text

        assert "None mended, none new, 2 cannot be told any more." in page
        assert browser.get("/compare", params={"id": ids[::-1]}).text == page

    def test_one_alone_is_not_compared(self, browser, jobs):
        assert "It takes two audits." in browser.get("/compare", params={"a": submitted(jobs)}).text

    def test_every_finding_is_documented(self, browser):
        page = browser.get("/catalogue").text
        for path in re.findall(r'href="(/catalogue/[^"]+)"', page):
            assert "How to fix" in browser.get(path).text

    @pytest.mark.parametrize("path", ["/audits", "/audits/new", "/catalogue", "/login", "/compare"])
    def test_only_our_own_scripts_run_and_only_we_are_reached(self, browser, path):
        policy = browser.get(path, follow_redirects=True).headers["Content-Security-Policy"]

        assert "default-src 'none'" in policy
        assert "form-action 'self'; connect-src 'self'" in policy
        assert "unsafe" not in policy

    def test_a_wrong_method_is_answered_with_the_right_ones(self, browser):
        assert browser.get("/logout").headers["Allow"] == "POST"
        assert browser.put("/login").headers["Allow"] == "GET, HEAD, POST"
