"""Settings: what the environment says, and what is refused."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from service.settings import Settings, is_loopback


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings().environment():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def test_the_default_is_a_file_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of the box: loopback, an SQLite file in the state folder, data below the folder of the start."""
    monkeypatch.chdir(tmp_path)

    settings = Settings()

    assert (settings.host, settings.port, settings.api_keys) == ("127.0.0.1", 8000, ())
    assert settings.state_dir == tmp_path / "fitcheck"
    assert str(settings.database_url) == f"sqlite:///{tmp_path}/fitcheck/fitcheck.sqlite"
    assert settings.data_roots == (tmp_path,)
    assert settings.slots >= 1


def test_every_setting_is_an_environment_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Lists are split as their kind is usual: folders by colons, keys by commas. Options win over variables."""
    monkeypatch.setenv("FITCHECK_DATA_ROOTS", f"{tmp_path}:/")
    monkeypatch.setenv("FITCHECK_API_KEYS", " one, two ,")
    monkeypatch.setenv("FITCHECK_PORT", "9000")
    monkeypatch.setenv("FITCHECK_SLOTS", "")
    monkeypatch.setenv("FITCHECK_LOG_LEVEL", "DEBUG")

    settings = Settings(port=9001)

    assert settings.data_roots == (tmp_path, Path("/"))
    assert settings.api_keys == ("one", "two")
    assert settings.port == 9001
    assert settings.log_level == "debug"


def test_the_environment_of_a_child_gives_the_same_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = Settings(
        api_keys=("a", "b"),
        data_roots=(tmp_path, Path("/")),
        remote=("s3://a/b", "https://h/"),
        database="postgresql://u:p@h/n",
        slots=3,
        sandbox="require",
        allowed_ops=frozenset({"ReadFile", "EncodePng"}),
    )

    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)

    assert Settings() == settings


def test_secrets_can_be_left_out() -> None:
    settings = Settings(api_keys=("hush-hush",), database="postgresql://u:hush-hush@h/n")

    environment = settings.environment(without=frozenset({"api_keys", "database"}))

    assert "hush-hush" not in str(environment)
    assert "hush-hush" not in repr(settings)


def test_postgresql_is_reached_through_psycopg() -> None:
    assert Settings(database="postgresql://u@h:1/n").database_url.drivername == "postgresql+psycopg"


def test_a_relative_file_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The service's processes need not share a working folder."""
    monkeypatch.chdir(tmp_path)

    assert Settings(database="sqlite:///jobs.sqlite").database_url.database == str(tmp_path / "jobs.sqlite")


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"database": "mysql://h/n"}, "not supported"),
        ({"database": "sqlite://"}, "name a file"),
        ({"database": "sqlite:///:memory:"}, "name a file"),
        ({"database": "nonsense"}, "sqlite:///path"),
        ({"lease_seconds": 5, "beat_seconds": 4}, "twice"),
        ({"port": 70000}, "65535"),
    ],
)
def test_nonsense_is_refused_with_a_word(fields: dict[str, object], word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        Settings(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_loopback_needs_no_key(host: str) -> None:
    assert is_loopback(host)
    Settings(host=host).require_safe_bind()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.org", ""])
def test_other_hosts_need_one(host: str) -> None:
    with pytest.raises(ValueError, match="FITCHECK_API_KEYS"):
        Settings(host=host).require_safe_bind()
    Settings(host=host, api_keys=("k",)).require_safe_bind()


SECRET = "whsec_" + "QUJD" * 10


def test_webhooks_are_signed_or_not_sent() -> None:
    """Hosts without a secret stop the API; a worker, which sends none, does not need one."""
    with pytest.raises(ValueError, match="FITCHECK_CALLBACK_SECRETS"):
        Settings(callback_hosts=("ci.example",)).require_signed_callbacks()
    Settings(callback_hosts=("ci.example",), callback_secrets=(SECRET,)).require_signed_callbacks()
    Settings().require_signed_callbacks()


@pytest.mark.parametrize("secret", ["x", "whsec_", "whsec_QUJD", "whsec_%%%%", "whsec_" + "QUJD" * 30])
def test_a_secret_that_is_none_is_refused(secret: str) -> None:
    with pytest.raises(ValidationError, match="openssl rand"):
        Settings(callback_secrets=(secret,))


def test_settings_of_webhooks_travel_to_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(
        callback_hosts="A.example, b.example", callback_secrets=f"{SECRET},{SECRET}", keep_jobs_days=1.5
    )
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)

    again = Settings()
    assert again.callback_hosts == ("a.example", "b.example")
    assert again.callback_secrets == (SECRET, SECRET)
    assert (again.keep_jobs_days, again.keep_reports_days) == (1.5, None)
