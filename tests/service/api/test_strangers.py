"""Two callers attack each other: nothing of one is seen, named, changed or even known to exist by the other."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from service.access.store import Keys
from service.api.app import create_app
from service.jobs.client import open_jobs
from service.jobs.identifiers import cursor_after
from service.settings import Settings
from service.uploads.store import Uploads
from tests.service.api.conftest import EXAMPLES, DocumentedClient
from tests.service.api.test_uploads import send

EXAMPLE = EXAMPLES / "wrong_scaling"
NOBODYS = "0190c3b4-0000-7000-8000-000000000000"


@pytest.fixture
def service(database, engine: sa.Engine):
    """The application on the real job engine."""
    settings = Settings(
        data_roots=(EXAMPLES,), state_dir=database.parent, callback_hosts=("ci.example",), callback_secrets=(SECRET,)
    )
    jobs = open_jobs(settings)
    client = DocumentedClient(create_app(settings, jobs, uploads=Uploads(settings, engine), keys=Keys(engine)))
    yield client
    client.close()
    jobs.close()


SECRET = "whsec_" + "c2VudGluZWwtd2ViaG9vay1zZWNyZXQtMDEyMzQ1Njc="


@pytest.fixture
def keys(engine: sa.Engine) -> Keys:
    return Keys(engine)


@pytest.fixture
def caller(keys: Keys) -> Callable[..., dict[str, str]]:
    """Makes the header of a new key of a caller."""

    def make(name: str, *scopes: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {keys.create(name, scopes or ['read', 'submit']).text}"}

    return make


@pytest.fixture
def alice(caller) -> dict[str, str]:
    return caller("alice")


@pytest.fixture
def mallory(caller) -> dict[str, str]:
    return caller("mallory")


def request(**fields: object) -> dict:
    return {
        "model": {"uri": str(EXAMPLE / "model")},
        "data": {
            "train": {"uri": str(EXAMPLE / "train.csv")},
            "validation": {"uri": str(EXAMPLE / "validation.csv")},
            "label": "benign",
        },
        **fields,
    }


def submit(client: httpx.Client, who: dict[str, str], body: dict | None = None, **headers: str) -> httpx.Response:
    return client.post("/v1/audits", json=body or request(), headers={**who, **headers})


def shape(answer: httpx.Response, id_: str) -> tuple:
    """All of an answer that may tell something, with the id that was asked for taken out."""
    told = {name: value for name, value in answer.headers.items() if not name.lower().startswith(("x-r", "ratelimit"))}
    told.pop("Content-Length".lower(), None)
    return answer.status_code, told, answer.text.replace(id_, "ID")


class TestIds:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/v1/audits/{}"),
            ("GET", "/v1/audits/{}/report"),
            ("GET", "/v1/audits/{}/events"),
            ("POST", "/v1/audits/{}/cancel"),
        ],
    )
    def test_anothers_audit_answers_as_one_that_never_was(self, service, alice, mallory, method, path):
        audit = submit(service, alice).json()["id"]
        answers = [shape(service.request(method, path.format(id_), headers=mallory), id_) for id_ in (audit, NOBODYS)]

        assert answers[0] == answers[1]
        assert answers[0][0] == 404
        assert service.get(f"/v1/audits/{audit}", headers=alice).json()["status"] == "queued"

    @pytest.mark.parametrize("method", ["GET", "DELETE"])
    def test_anothers_upload_answers_as_one_that_never_was(self, service, alice, mallory, method):
        upload = send(service, headers=alice).json()["id"]
        answers = [
            shape(service.request(method, f"/v1/uploads/{id_}", headers=mallory), id_) for id_ in (upload, NOBODYS)
        ]

        assert answers[0] == answers[1]
        assert answers[0][0] == 404
        assert service.get(f"/v1/uploads/{upload}", headers=alice).status_code == 200

    @pytest.mark.parametrize(
        "place",
        [
            lambda body, uri: body["model"].update(uri=uri),
            lambda body, uri: body["data"]["train"].update(uri=uri),
            lambda body, uri: body["data"]["validation"].update(uri=[str(EXAMPLE / "validation.csv"), uri]),
            lambda body, uri: body["data"]["train"].update(label_uri=uri),
            lambda body, uri: body.update(history={"uri": uri}),
        ],
    )
    def test_anothers_upload_cannot_be_named(self, service, alice, mallory, place):
        upload = send(service, headers=alice).json()["id"]
        answers = []
        for id_ in (upload, NOBODYS):
            body = request()
            place(body, f"upload://{id_}")
            answers.append(shape(submit(service, mallory, body), id_))

        assert answers[0] == answers[1]
        assert (answers[0][0], json.loads(answers[0][2])["code"]) == (422, "upload_not_found")
        assert service.get("/v1/audits", headers=mallory).json()["items"] == []

    def test_what_is_in_anothers_upload_is_not_said(self, service, alice, mallory):
        """A broken file would be quoted by whoever looks into it first."""
        upload = send(service, b"sentinel,y\n1,2\n3\n", headers=alice).json()
        body = request()
        body["data"]["train"]["uri"] = upload["uri"]

        assert "sentinel" not in submit(service, mallory, body).text


class TestLists:
    def test_lists_hold_ones_own_alone_whatever_is_filtered_by(self, service, alice, mallory):
        submit(service, alice, request(tags={"team": "a"}))
        send(service, headers=alice)
        for query in ({}, {"tag": "team:a"}, {"status": "queued"}, {"limit": 200}):
            assert service.get("/v1/audits", params=query, headers=mallory).json() == {"items": [], "next_cursor": None}
        assert service.get("/v1/uploads", headers=mallory).json() == {"items": [], "next_cursor": None}

    @pytest.mark.parametrize(
        ("path", "make"), [("/v1/audits", submit), ("/v1/uploads", lambda c, w: send(c, headers=w))]
    )
    def test_anothers_cursor_leads_to_ones_own(self, service, alice, mallory, path, make):
        for _ in range(3):
            make(service, alice)
        mine = make(service, mallory).json()["id"]
        cursor = service.get(path, params={"limit": 1}, headers=alice).json()["next_cursor"]
        page = service.get(path, params={"cursor": cursor}, headers=mallory).json()
        late = service.get(path, params={"cursor": cursor_after(NOBODYS.replace("0", "f", 1))}, headers=mallory).json()

        assert page["items"] == []
        assert [item["id"] for item in late["items"]] == [mine]


class TestIdempotency:
    def test_anothers_key_makes_ones_own_audit(self, service, alice, mallory):
        first = submit(service, alice, **{"Idempotency-Key": "deploy-7"})
        second = submit(service, mallory, **{"Idempotency-Key": "deploy-7"})
        other = submit(service, mallory, request(priority=1), **{"Idempotency-Key": "deploy-7"})

        assert first.json()["id"] != second.json()["id"]
        assert "Idempotency-Replayed" not in second.headers
        assert other.status_code == 409
        assert first.json()["id"] not in other.text


class TestKeysOfOneCaller:
    def test_they_share_everything(self, service, caller, alice):
        """Rotation loses nothing."""
        audit = submit(service, alice, **{"Idempotency-Key": "k"}).json()
        upload = send(service, headers=alice).json()
        other = caller("alice")

        assert service.get(f"/v1/audits/{audit['id']}", headers=other).status_code == 200
        assert submit(service, other, **{"Idempotency-Key": "k"}).json()["id"] == audit["id"]
        assert service.delete(f"/v1/uploads/{upload['id']}", headers=other).status_code == 204


class TestUploadsOfAudits:
    def test_what_an_audit_reads_cannot_be_deleted_until_it_ends(self, service, alice):
        upload = send(service, (EXAMPLE / "train.csv").read_bytes(), headers=alice).json()
        body = request()
        body["data"]["train"]["uri"] = upload["uri"]
        audit = submit(service, alice, body).json()
        refused = service.delete(f"/v1/uploads/{upload['id']}", headers=alice)

        assert (refused.status_code, refused.json()["code"]) == (409, "upload_in_use")
        service.post(f"/v1/audits/{audit['id']}/cancel", headers=alice)
        assert service.delete(f"/v1/uploads/{upload['id']}", headers=alice).status_code == 204


class TestWebhooks:
    def test_anothers_webhook_is_told_to_its_owner_alone(self, service, alice, mallory):
        audit = submit(service, alice, request(callback={"url": "https://ci.example/sentinel"})).json()

        assert service.get(f"/v1/audits/{audit['id']}", headers=alice).json()["callback"]["url"].endswith("sentinel")
        assert "sentinel" not in service.get("/v1/audits", headers=mallory).text

    @pytest.mark.parametrize(
        "url", ["https://169.254.169.254/", "http://ci.example/", "https://u@ci.example/", "https://ci.example.evil/"]
    )
    def test_a_webhook_goes_to_no_other_host(self, service, mallory, url):
        assert submit(service, mallory, request(callback={"url": url})).status_code == 422


class TestSecrets:
    SENTINEL = "sentinel-5f0c"

    def test_no_answer_and_no_line_of_the_log_holds_a_secret(self, service, keys, caller, capfd, monkeypatch):
        """A key that is right, wrong, revoked or misplaced; a signature in an address; the database's password."""
        made = keys.create("alice", ["read", "submit"])
        keys.revoke(keys.create("alice", ["read"]).id)
        right = {"Authorization": f"Bearer {made.text}"}
        wrong = {"Authorization": f"Bearer {self.SENTINEL}"}
        body = request()
        body["data"]["train"]["uri"] = f"https://host.example/x.csv?sig={self.SENTINEL}"
        broken = {"Authorization": f"Bearer {made.text[:-1]}"}
        answers = [
            service.get("/v1/audits", headers=wrong),
            service.get("/v1/audits", headers=broken),
            service.get("/v1/audits", headers={"Authorization": f"Basic {self.SENTINEL}"}),
            submit(service, right, body),
            submit(service, right),
            send(service, headers=right),
            service.get("/metrics"),
            service.get("/readyz"),
        ]
        monkeypatch.setattr(service.app.state.jobs, "list", lambda **_: 1 / 0)
        answers.append(service.get("/v1/audits", headers=right))
        told = "".join(answer.text + str(answer.headers) for answer in answers) + "".join(capfd.readouterr())

        assert answers[-1].status_code == 500
        assert self.SENTINEL not in told
        assert made.text[-20:] not in told
        assert SECRET not in told

    def test_a_fault_of_ours_tells_nothing_of_its_cause(self, service, alice, monkeypatch):
        monkeypatch.setattr(service.app.state.jobs, "list", lambda **_: Path(f"/nowhere/{self.SENTINEL}").read_text())
        answer = service.get("/v1/audits", headers=alice)

        assert answer.status_code == 500
        assert self.SENTINEL not in answer.text
        assert "Traceback" not in answer.text
