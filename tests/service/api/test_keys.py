"""Keys in the database: who may do what, from when on and until when, and whose things they see."""

import sqlite3
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from schemas.problem import ProblemError
from service.access import keys as key_texts
from service.access.store import Keys, require_safe_bind
from service.jobs.tables import access_key
from service.settings import Settings
from tests.service.api.test_uploads import send


@pytest.fixture
def keys(engine: sa.Engine) -> Keys:
    return Keys(engine)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def get(client: httpx.Client, key: str, path: str = "/v1/audits") -> httpx.Response:
    return client.get(path, headers=bearer(key))


class TestWhoIsLetIn:
    def test_the_first_key_closes_the_door_to_everyone_else(self, client, keys):
        assert client.get("/v1/audits").status_code == 200
        made = keys.create("team", ["read"])

        assert client.get("/v1/audits").status_code == 401
        assert get(client, made.text).status_code == 200

    def test_it_stays_closed_when_the_last_key_is_revoked(self, client, keys):
        made = keys.create("team", ["read"])
        keys.revoke(made.id)

        assert client.get("/v1/audits").status_code == 401

    def test_a_revoked_key_counts_no_more_at_once(self, client, keys):
        """Rotation: the next key is in use before the last one ends, and both are the same caller."""
        old, new = (keys.create("team", ["read", "submit"]) for _ in range(2))
        upload = send(client, headers=bearer(old.text)).json()
        keys.revoke(old.id)

        assert get(client, old.text).status_code == 401
        assert get(client, new.text, f"/v1/uploads/{upload['id']}").json() == upload

    def test_an_expired_key_counts_no_more(self, client, keys):
        assert get(client, keys.create("team", ["read"], days=1e-9).text).status_code == 401
        assert get(client, keys.create("team", ["read"], days=1).text).status_code == 200

    def test_keys_of_the_settings_stay_valid_beside_them(self, client_of, keys):
        made = keys.create("team", ["read"])
        client = client_of(api_keys=("plain",))

        assert [get(client, key).status_code for key in (made.text, "plain", "other")] == [200, 200, 401]

    @pytest.mark.parametrize(
        "change",
        [
            lambda key: key[:-1],
            lambda key: key[:-2] + ("aa" if key[-2:] != "aa" else "bb"),
            lambda key: key.upper(),
            lambda key: key + "\x00",
            lambda key: key.replace("_", "_" + "0" * 5000, 1),
            lambda key: "fitcheck_" + "0" * 16 + key[25:],
            lambda key: "' OR 1=1 --",
        ],
    )
    def test_a_key_that_is_nearly_right_is_wrong(self, client, keys, change):
        made = keys.create("team", ["admin"])
        answer = client.get("/v1/audits", headers={"Authorization": b"Bearer " + change(made.text).encode()})

        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="fitcheck"')

    def test_what_cannot_be_a_key_costs_no_look_up(self, keys, engine, monkeypatch):
        keys.create("team", ["read"])
        monkeypatch.setattr(engine, "connect", lambda: pytest.fail("looked up"))

        assert keys.identify("nonsense") is None

    def test_the_last_use_is_noted_once_a_minute(self, client, keys):
        made = keys.create("team", ["read"])
        assert keys.list()[0].last_used_at is None
        get(client, made.text)
        (first,) = keys.list()
        get(client, made.text)

        assert first.last_used_at is not None
        assert keys.list() == [first]


class TestScopes:
    @pytest.fixture
    def key_of(self, keys):
        return lambda *scopes, caller="team": keys.create(caller, list(scopes)).text

    @pytest.mark.parametrize(
        ("scopes", "read", "submit"),
        [(["read"], 200, 403), (["submit"], 403, 201), (["read", "submit"], 200, 201), (["admin"], 200, 201)],
    )
    def test_looking_needs_read_and_changing_needs_submit(self, client, key_of, scopes, read, submit):
        key = bearer(key_of(*scopes))

        assert client.get("/v1/uploads", headers=key).status_code == read
        assert client.head("/v1/audits", headers=key).status_code == read
        assert send(client, headers=key).status_code == submit
        assert client.post("/v1/audits/audit-1/cancel", headers=key).status_code in {submit, 404}
        assert client.delete("/v1/uploads/x", headers=key).status_code in {submit, 404}

    def test_what_is_lacking_is_named(self, client, key_of):
        answer = send(client, headers=bearer(key_of("read")))

        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert 'error="insufficient_scope", scope="submit"' in answer.headers["WWW-Authenticate"]

    def test_an_admin_sees_everybodys(self, client, key_of, body, jobs):
        alice, admin = bearer(key_of("read", "submit", caller="alice")), bearer(key_of("admin", caller="root"))
        audit = client.post("/v1/audits", json=body, headers=alice).json()
        upload = send(client, headers=alice).json()

        assert client.get(f"/v1/audits/{audit['id']}", headers=admin).json() == audit
        assert len(client.get("/v1/audits", headers=admin).json()["items"]) == 1
        assert client.get("/v1/uploads", headers=admin).json()["items"] == [upload]
        assert client.post(f"/v1/audits/{audit['id']}/cancel", headers=admin).json()["status"] == "cancelled"
        assert client.delete(f"/v1/uploads/{upload['id']}", headers=admin).status_code == 204

    def test_an_admins_own_audits_read_no_foreign_uploads(self, client, key_of, body):
        upload = send(client, headers=bearer(key_of("submit", caller="alice"))).json()
        body["data"]["train"]["uri"] = upload["uri"]
        answer = client.post("/v1/audits", json=body, headers=bearer(key_of("admin", caller="root")))

        assert answer.json()["code"] == "upload_not_found"


class TestSecrets:
    def test_the_database_holds_no_secret(self, keys, database: Path):
        made = keys.create("team", ["read"])
        _, secret = key_texts.split(made.text)
        dump = "\n".join(sqlite3.connect(database).iterdump())

        assert made.id in dump
        assert secret not in dump
        assert secret not in repr(made)
        assert len(secret) >= 43  # 256 bits

    def test_the_digest_is_compared_also_where_there_is_no_key(self, keys, monkeypatch):
        compared = []
        monkeypatch.setattr("service.access.store.fits", lambda *given: compared.append(given) or False)
        keys.identify(key_texts.new_key().text)

        assert len(compared) == 1

    def test_keys_differ(self):
        assert len({key_texts.new_key().text for _ in range(100)}) == 100

    @pytest.mark.parametrize("caller", ["", " a", "a\n", "x" * 65])
    def test_a_caller_has_a_name_that_can_be_shown(self, keys, caller):
        with pytest.raises(ProblemError) as caught:
            keys.create(caller, ["read"])
        assert caught.value.code == "caller_malformed"

    def test_revoking_what_is_not_there_is_a_problem(self, keys):
        with pytest.raises(ProblemError) as caught:
            keys.revoke("nonsense")
        assert caught.value.code == "key_not_found"


class TestBinding:
    def test_others_are_listened_to_only_where_there_are_keys(self, database: Path, keys):
        settings = Settings(host="0.0.0.0", state_dir=database.parent)
        with pytest.raises(ValueError, match="keys create"):
            require_safe_bind(settings)
        keys.create("team", ["read"])

        require_safe_bind(settings)


def test_no_row_is_left_of_what_was_refused(keys, engine):
    with pytest.raises(ProblemError):
        keys.create("", ["read"])
    with engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(access_key)).scalar() == 0
