"""`submit --upload` sends what the request names, and `keys` makes what lets it in."""

import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import service.cli
from service.access.store import Keys
from service.api.app import create_app
from service.cli.client import Client
from service.client.uploading import pack
from service.jobs.database import connect, migrate
from service.settings import Settings
from service.uploads.store import Uploads
from tests.service.asgi import AsgiTransport
from tests.service.cli.test_commands import run
from tests.service.fakes import FakeJobs

EXAMPLE = Path(__file__).parents[3] / "examples" / "wrong_scaling"


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = Settings(state_dir=tmp_path_factory.mktemp("migrated"))
    engine = connect(settings)
    migrate(settings, engine)
    engine.dispose()
    return Path(str(settings.database_url.database))


@pytest.fixture
def jobs() -> FakeJobs:
    return FakeJobs()


@pytest.fixture
def state(migrated: Path, tmp_path: Path, jobs: FakeJobs, monkeypatch) -> Iterator[Path]:
    """The state folder of a service that reads nothing but uploads."""
    shutil.copy(migrated, tmp_path)
    (tmp_path / "roots").mkdir()
    settings = Settings(state_dir=tmp_path, data_roots=(tmp_path / "roots",))
    engine = connect(settings)
    app = create_app(settings, jobs, uploads=Uploads(settings, engine), keys=Keys(engine))
    monkeypatch.setattr(service.cli, "_client", lambda url, key: Client(url, key, AsgiTransport(app)))
    yield tmp_path
    engine.dispose()


def files(state: Path) -> list[Path]:
    return sorted(path for path in (state / "uploads").rglob("*") if path.is_file())


def submit(*options: str, request: Path = EXAMPLE / "request.json"):
    return run("submit", "--upload", "--request", str(request), "--json", *options)


class TestUpload:
    def test_everything_that_the_request_names_is_sent(self, state, jobs):
        result = submit()

        assert result.exit_code == 0, result.output
        (request,) = jobs.requests.values()
        assert all(uri.startswith("upload://") for uris in request.addresses.values() for uri in uris)
        assert sorted(path.suffix for path in files(state)) == [".csv", ".csv", ".tar"]
        assert "sending train.csv" in result.stderr

    def test_what_is_there_already_is_not_sent_again(self, state, jobs):
        """So that the same command makes the same request, and an idempotency key holds."""
        submit("--idempotency-key", "k")
        again = submit("--idempotency-key", "k")

        assert again.exit_code == 0, again.output
        assert len(files(state)) == 3
        assert len(jobs.stored) == 1
        assert "train.csv is there already" in again.stderr

    def test_a_file_in_two_places_is_sent_once(self, state, jobs):
        submit("--validation", str(EXAMPLE / "train.csv"))

        (request,) = jobs.requests.values()
        assert request.data.train.uris == request.data.validation.uris
        assert len(files(state)) == 2

    def test_a_folder_of_files_becomes_a_list(self, state, jobs, tmp_path):
        folder = tmp_path / "parts"
        folder.mkdir()
        for name in ("a.csv", "b.csv"):
            shutil.copy(EXAMPLE / "train.csv", folder / name)
        (folder / "b.csv").write_text((folder / "b.csv").read_text() + "\n")
        result = submit("--train", str(folder))

        assert result.exit_code == 0, result.output
        (request,) = jobs.requests.values()
        assert len(request.data.train.uris) == 2

    def test_folders_that_say_values_are_refused(self, state, tmp_path):
        folder = tmp_path / "parts" / "year=2024"
        folder.mkdir(parents=True)
        shutil.copy(EXAMPLE / "train.csv", folder)
        result = submit("--train", str(folder.parent))

        assert result.exit_code == 2
        assert "year" in result.stderr

    def test_addresses_elsewhere_are_left_alone(self, state):
        result = submit("--train", "s3://bucket/train.csv")

        assert result.exit_code == 2
        assert "FITCHECK_REMOTE" in result.stderr
        assert not any("train" in path.name for path in files(state))

    def test_what_is_not_there_is_said_before_anything_is_sent(self, state):
        result = submit("--model", "/nowhere")

        assert result.exit_code == 2
        assert "model_not_found" in result.stderr or "nothing at" in result.stderr
        assert files(state) == []

    def test_a_refusal_of_the_service_ends_the_command(self, state, monkeypatch):
        monkeypatch.setattr("service.uploads.files.RESERVE_BYTES", 2**62)
        result = submit()

        assert result.exit_code == 3
        assert "no room" in result.stderr

    def test_an_archive_of_the_same_folder_is_the_same(self, tmp_path):
        for name in ("a.tar", "b.tar"):
            pack(EXAMPLE / "model", tmp_path / name)

        assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
        with tarfile.open(tmp_path / "a.tar") as tar:
            assert "saved_model.pb" in tar.getnames()


class TestKeys:
    def test_a_key_is_shown_once_and_lets_in(self, state):
        made = run("keys", "create", "ci", "--note", "nightly", "--state-dir", str(state))
        key = made.stdout.strip()

        assert made.exit_code == 0, made.output
        assert run("list").exit_code == 2
        assert run("list", "--key", key).exit_code == 0
        listed = run("keys", "list", "--state-dir", str(state))
        assert key not in listed.output
        assert "nightly" in listed.output

    def test_programs_get_the_key_and_what_is_known_of_it(self, state):
        made = run("keys", "create", "ci", "--note", "nightly", "--days", "30", "--json", "--state-dir", str(state))
        told = json.loads(made.stdout)

        assert made.stderr == ""
        assert (told["caller"], told["scopes"], told["note"]) == ("ci", ["read", "submit"], "nightly")
        assert told["expires_at"] is not None
        assert run("list", "--key", told["key"]).exit_code == 0
        revoked = json.loads(run("keys", "revoke", told["id"], "--json", "--state-dir", str(state)).stdout)
        assert revoked["id"] == told["id"]
        assert revoked["revoked_at"] is not None
        assert "key" not in revoked
        assert run("list", "--key", told["key"]).exit_code == 2

    def test_a_revoked_key_lets_in_no_more(self, state):
        key = run("keys", "create", "ci", "--state-dir", str(state)).stdout.strip()
        (listed,) = json.loads(run("keys", "list", "--json", "--state-dir", str(state)).stdout)
        result = run("keys", "revoke", listed["id"], "--state-dir", str(state))

        assert result.exit_code == 0, result.output
        assert run("list", "--key", key).exit_code == 2
        assert "revoked" in run("keys", "list", "--state-dir", str(state)).stdout

    def test_the_scopes_are_those_that_were_asked_for(self, state):
        run("keys", "create", "ci", "--scope", "read", "--days", "30", "--state-dir", str(state))
        (listed,) = json.loads(run("keys", "list", "--json", "--state-dir", str(state)).stdout)

        assert listed["scopes"] == ["read"]
        assert listed["expires_at"] is not None
        assert "secret" not in str(listed)

    @pytest.mark.parametrize("options", [("keys", "create", "ci", "--scope", "all"), ("keys", "revoke", "nothing")])
    def test_what_makes_no_sense_is_a_usage_error(self, state, options):
        assert run(*options, "--state-dir", str(state)).exit_code == 2
