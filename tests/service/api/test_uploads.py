"""Sending, listing, reading and deleting uploads, and what becomes of those that cannot be taken."""

import asyncio
import base64
import errno
import hashlib
import os
from pathlib import Path

import httpx
import pytest

from service.uploads import files
from tests.service.api.conftest import EXAMPLES

CSV = b"a,y\n1,0\n2,1\n"
SHA256 = hashlib.sha256(CSV).hexdigest()
KEYS = {"api_keys": ("alice", "bob")}
ALICE, BOB = ({"Authorization": f"Bearer {key}"} for key in KEYS["api_keys"])


def send(client: httpx.Client, content: bytes = CSV, name: str = "train.csv", **options) -> httpx.Response:
    return client.post("/v1/uploads", params={"name": name}, content=content, **options)


def send_form(client: httpx.Client, content: bytes = CSV, name: str = "train.csv", **options) -> httpx.Response:
    return client.post("/v1/uploads", files={"file": (name, content)}, **options)


@pytest.fixture
def folder(database: Path) -> Path:
    return database.parent / "uploads"


def left(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()] if folder.exists() else []


class TestSending:
    @pytest.mark.parametrize("how", [send, send_form])
    def test_a_file_is_created_with_its_address(self, client, folder, how):
        answer = how(client)
        made = answer.json()

        assert answer.status_code == 201
        assert answer.headers["Location"] == f"/v1/uploads/{made['id']}"
        assert made["uri"] == f"upload://{made['id']}"
        assert (made["name"], made["bytes"], made["sha256"]) == ("train.csv", len(CSV), SHA256)
        assert made["created_at"] < made["expires_at"]
        assert [path.read_bytes() for path in left(folder)] == [CSV]

    def test_a_file_of_many_blocks_arrives_whole(self, client, folder):
        content = os.urandom(5 * 2**20 + 17)
        made = send_form(client, content, "m.zip").json()

        assert (made["bytes"], made["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        assert left(folder)[0].read_bytes() == content

    def test_an_empty_file_is_a_file(self, client):
        assert send(client, b"").json()["bytes"] == 0

    def test_the_file_lies_under_its_id_for_the_service_alone(self, client, folder):
        made = send(client, name="../../etc/pass wd.CSV.gz").json()

        (path,) = left(folder)
        assert path == folder / made["id"] / f"{made['id']}.csv.gz"
        assert made["name"] == "pass wd.CSV.gz"
        assert (path.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)

    @pytest.mark.parametrize("name", ["..", "/", "a/..", "\x01", " "])
    def test_a_name_that_says_nothing_is_refused(self, client, folder, name):
        answer = send(client, name=name)

        assert (answer.status_code, answer.json()["field"]) == (422, "name")
        assert left(folder) == []

    def test_a_body_without_a_name_is_refused(self, client):
        answer = client.post("/v1/uploads", content=CSV)

        assert (answer.status_code, answer.json()["code"]) == (422, "malformed_upload")
        assert "?name=" in answer.json()["detail"]

    def test_what_curl_would_change_is_refused(self, client):
        answer = send(client, headers={"Content-Type": "application/x-www-form-urlencoded"})

        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


class TestDigests:
    def test_a_right_one_is_accepted(self, client):
        header = f"sha-256=:{base64.b64encode(hashlib.sha256(CSV).digest()).decode()}:"

        assert send(client, headers={"Content-Digest": header}).status_code == 201
        assert client.post("/v1/uploads", params={"sha256": SHA256.upper()}, files={"f": ("a.csv", CSV)}).is_success

    def test_a_wrong_one_leaves_nothing(self, client, folder):
        header = f"sha-256=:{base64.b64encode(b'x' * 32).decode()}:"
        answers = [
            send(client, headers={"Content-Digest": header}),
            client.post("/v1/uploads", params={"sha256": "0" * 64}, files={"f": ("a.csv", CSV)}),
        ]

        assert [(a.status_code, a.json()["code"]) for a in answers] == [(422, "upload_digest_mismatch")] * 2
        assert [a.json()["field"] for a in answers] == ["Content-Digest", "sha256"]
        assert list(folder.iterdir()) == []

    @pytest.mark.parametrize("header", ["sha-256=abc", "md5=:AAAA:", "sha-256=:AAAA:"])
    def test_one_that_cannot_be_checked_is_not_passed_over(self, client, header):
        assert send(client, headers={"Content-Digest": header}).status_code == 422


class TestForms:
    BOUNDARY = "multipart/form-data; boundary=b"
    FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\nx\r\n'

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"--b--\r\n",
            FILE,
            FILE[:-4],
            FILE + FILE + b"--b--\r\n",
            b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\nx\r\n--b--\r\n',
            b"--b\r\n\r\nx\r\n--b--\r\n",
            b"nonsense",
            b"--b\r\nContent-Disposition: form-data; filename=" + b"a" * 100_000,
        ],
    )
    def test_a_form_that_is_not_one_whole_file_leaves_nothing(self, client, folder, body):
        answer = client.post("/v1/uploads", content=body, headers={"Content-Type": self.BOUNDARY})

        assert (answer.status_code, answer.json()["code"]) == (422, "malformed_upload")
        assert left(folder) == []

    def test_a_whole_one_is_taken(self, client):
        answer = client.post("/v1/uploads", content=self.FILE + b"--b--\r\n", headers={"Content-Type": self.BOUNDARY})

        assert (answer.status_code, answer.json()["bytes"]) == (201, 1)

    @pytest.mark.parametrize("media_type", ["multipart/form-data", "multipart/form-data; boundary=" + "b" * 300])
    def test_a_form_needs_a_boundary(self, client, media_type):
        answer = client.post("/v1/uploads", content=self.FILE, headers={"Content-Type": media_type})

        assert (answer.status_code, answer.json()["field"]) == (422, "Content-Type")


class TestRoom:
    @pytest.mark.parametrize("how", [send, send_form])
    def test_a_file_beyond_the_limit_leaves_nothing(self, client_of, folder, how):
        client = client_of(max_upload_bytes=len(CSV))

        assert how(client).status_code == 201
        answer = how(client, CSV + b"3")
        assert (answer.status_code, answer.json()["code"]) == (413, "upload_too_large")
        assert len(left(folder)) == 1

    def test_an_unannounced_body_is_counted_while_it_arrives(self, client_of, folder):
        client = client_of(max_upload_bytes=len(CSV))
        answer = client.post("/v1/uploads", params={"name": "a.csv"}, content=iter([CSV, b"3"]))

        assert answer.status_code == 413
        assert left(folder) == []

    @pytest.mark.parametrize("how", [send, send_form])
    def test_a_callers_uploads_stay_within_the_quota(self, client_of, how):
        client = client_of(upload_quota_bytes=2 * len(CSV) + 1, **KEYS)
        answers = [how(client, headers=ALICE) for _ in range(3)]

        assert [answer.status_code for answer in answers] == [201, 201, 413]
        assert answers[-1].json()["code"] == "upload_quota_exceeded"
        assert how(client, headers=BOB).status_code == 201

    def test_deleting_gives_room_back(self, client_of):
        client = client_of(upload_quota_bytes=len(CSV))
        made = send(client).json()

        assert send(client).status_code == 413
        assert client.delete(f"/v1/uploads/{made['id']}").status_code == 204
        assert send(client).status_code == 201

    def test_many_at_once_pass_no_quota(self, client_of):
        """What arrives counts before it is there."""
        client = client_of(upload_quota_bytes=3 * len(CSV))

        async def send_all() -> list[int]:
            transport = httpx.ASGITransport(client.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://fitcheck.test") as many:
                posts = [many.post("/v1/uploads", params={"name": "a.csv"}, content=CSV) for _ in range(12)]
                return [answer.status_code for answer in await asyncio.gather(*posts)]

        statuses = asyncio.run(send_all())
        assert set(statuses) <= {201, 413}
        assert statuses.count(201) <= 3
        assert sum(item["bytes"] for item in client.get("/v1/uploads").json()["items"]) <= 3 * len(CSV)

    def test_a_full_disk_is_told_and_leaves_nothing(self, client, folder, monkeypatch):
        def full(self: files.IncomingFile, block: bytes) -> None:
            with files._full_is_a_problem():
                raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(files.IncomingFile, "write", full)
        answer = send(client)

        assert (answer.status_code, answer.json()["code"]) == (507, "upload_storage_full")
        assert list(folder.iterdir()) == []

    def test_nothing_is_taken_where_little_is_left(self, client, monkeypatch):
        monkeypatch.setattr(files, "RESERVE_BYTES", 2**62)

        assert send(client).status_code == 507

    def test_a_client_that_leaves_leaves_nothing(self, client, folder):
        assert broken_off(client, {"type": "http.disconnect"}) == []
        assert list(folder.iterdir()) == []

    def test_a_client_that_falls_silent_is_hung_up_on(self, client_of, folder):
        sent = broken_off(client_of(client_seconds=0.05))

        assert sent[0]["status"] == 408
        assert list(folder.iterdir()) == []


def broken_off(client: httpx.Client, *rest: dict) -> list[dict]:
    """What is answered to a body that begins, goes on with these messages, and then falls silent."""
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/uploads",
        "query_string": b"name=a.csv",
        "headers": [],
        "client": ("127.0.0.1", 1),
    }
    messages = [{"type": "http.request", "body": CSV, "more_body": True}, *rest]
    sent: list[dict] = []

    async def receive() -> dict:
        if not messages:
            await asyncio.sleep(60)
        return messages.pop(0)

    async def send(message: dict) -> None:
        sent.append(message)

    asyncio.run(client.app(scope, receive, send))
    return sent


class TestReading:
    def test_the_newest_is_listed_first_page_by_page(self, client):
        made = [send(client, name=f"{i}.csv").json()["id"] for i in range(5)]
        first = client.get("/v1/uploads", params={"limit": 3}).json()
        second = client.get("/v1/uploads", params={"limit": 3, "cursor": first["next_cursor"]}).json()

        assert [item["id"] for item in first["items"] + second["items"]] == made[::-1]
        assert second["next_cursor"] is None

    def test_a_cursor_that_is_none_is_refused(self, client):
        assert client.get("/v1/uploads", params={"cursor": "nonsense"}).json()["code"] == "bad_cursor"

    def test_one_is_read_and_deleted(self, client, folder):
        made = send(client).json()
        address = f"/v1/uploads/{made['id']}"

        assert client.get(address).json() == made
        assert client.delete(address).status_code == 204
        assert client.get(address).status_code == client.delete(address).status_code == 404
        assert list(folder.iterdir()) == []

    @pytest.mark.parametrize("id_", ["x", "..%2f..", "0190c3b4-0000-7000-8000-000000000000"])
    def test_what_is_not_there_is_not_found(self, client, id_):
        answer = client.get(f"/v1/uploads/{id_}")

        assert answer.status_code == 404

    def test_an_expired_one_is_gone(self, client_of):
        client = client_of(upload_days=1e-9)
        made = send(client).json()

        assert client.get(f"/v1/uploads/{made['id']}").status_code == 404
        assert client.get("/v1/uploads").json()["items"] == []


class TestAuditing:
    @pytest.fixture
    def uploaded(self, client):
        """Uploads the files of an example; gives the request that names them."""

        def make(client: httpx.Client, **headers) -> dict:
            example = EXAMPLES / "wrong_scaling"
            train, validation = (
                send(client, (example / name).read_bytes(), name, **headers).json()["uri"]
                for name in ("train.csv", "validation.csv")
            )
            return {
                "model": {"uri": str(example / "model")},
                "data": {"train": {"uri": train}, "validation": {"uri": [validation]}, "label": "benign"},
            }

        return make

    def test_an_upload_stands_for_a_file(self, client, uploaded):
        assert client.post("/v1/audits", json=uploaded(client)).status_code == 202

    def test_what_is_wrong_in_it_is_said_of_its_address(self, client, uploaded, folder):
        body = uploaded(client)
        body["data"]["train"]["uri"] = send(client, b"\x80\x04pickle", "x.pkl").json()["uri"]
        answer = client.post("/v1/audits", json=body)

        assert answer.status_code == 422
        assert answer.json()["file"].startswith(body["data"]["train"]["uri"])
        assert str(folder) not in answer.text

    def test_an_unknown_one_is_refused_by_field(self, client, uploaded):
        body = uploaded(client)
        body["data"]["train"]["uri"] = "upload://0190c3b4-0000-7000-8000-000000000000"
        answer = client.post("/v1/audits", json=body)

        assert (answer.status_code, answer.json()["code"]) == (422, "upload_not_found")
        assert answer.json()["field"] == "data.train.uri"

    @pytest.mark.parametrize(
        "uri", ["upload://", "upload://x", "UPLOAD://../x", "upload://0190c3b4/../x", "upload://*"]
    )
    def test_what_is_no_id_is_malformed(self, client, uploaded, uri):
        answer = client.post("/v1/audits", json=uploaded(client) | {"history": {"uri": uri}})

        assert (answer.status_code, answer.json()["code"]) == (400, "uri_malformed")

    def test_no_file_address_reaches_the_folder(self, client_of, uploaded, database, folder):
        """Though it lies below a data root."""
        client = client_of(data_roots=(database.parent,))
        body = uploaded(client)
        (path, *_) = left(folder)
        for uri in (f"file://{path}", str(path), f"file://{folder}/*/*.csv", f"{database.parent}/**/*.csv"):
            body["data"]["train"]["uri"] = uri
            body["model"]["uri"] = "s3://elsewhere/model"
            answer = client_of(data_roots=(database.parent,), remote=("s3://",)).post("/v1/audits", json=body)

            assert (answer.status_code, answer.json()["code"]) == (400, "uri_outside_roots"), uri
