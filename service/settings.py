"""Every setting of the service, typed, once. Each is an environment variable with the prefix ``FITCHECK_``.

Command-line options override the environment; processes that we start inherit the result: `environment`.
"""

import base64
import binascii
import ipaddress
import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from schemas.isolation import Sandbox
from schemas.request import QUEUE_PATTERN
from service.machine import cores, memory_bytes

PREFIX = "FITCHECK_"
SECRETS = frozenset({"api_keys", "database", "callback_secrets", "session_secret"})
SECRET_PREFIX = "whsec_"  # noqa: S105 - as the Standard Webhooks write them
# TensorFlow and an audit beside it.
SLOT_BYTES, MAX_DEFAULT_SLOTS = 3 * 2**30, 16


def default_state_dir() -> Path:
    """Where state lives by the XDG base directory specification: ``~/.local/state/fitcheck``."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "fitcheck"


def one_a_core() -> int:
    """An audit keeps one core busy most of the time; each slot holds TensorFlow in memory."""
    return max(1, min(cores(), memory_bytes() // SLOT_BYTES, MAX_DEFAULT_SLOTS))


class Settings(BaseSettings):
    """How the service runs. Immutable; `get_settings` reads it once a process."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    host: str = Field("127.0.0.1", description="Address to listen on. Without API keys: loopback only.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    api_keys: Annotated[tuple[str, ...], NoDecode] = Field(
        (), repr=False, description="Access keys, separated by commas. None: no key is asked for."
    )

    session_hours: float = Field(12, gt=0, le=24 * 30, description="How long a browser stays logged in.")
    session_secret: str = Field(
        "",
        repr=False,
        description="Signs the sessions of browsers, the same on every API process. Default: made from the access keys "
        "of the settings, or, without any, anew at each start.",
    )

    state_dir: Path = Field(default_factory=default_state_dir, description="Where the service keeps its files.")
    database: str = Field(
        "",
        repr=False,
        description="`sqlite:///path` or `postgresql://user@host/name`. Default: a file in `state_dir`.",
    )
    data_roots: Annotated[tuple[Path, ...], NoDecode] = Field(
        default_factory=lambda: (Path.cwd(),),
        description="Folders below which `file://` addresses are answered, separated by `:`. Default: here.",
    )

    remote: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Prefixes of the addresses elsewhere that are fetched, separated by blanks: `s3://bucket/folder`, "
        "`gs://`, `az://`, `https://host/`. None: no remote address is read.",
    )

    ray_address: str = Field(
        "",
        description="The Ray cluster for audits that ask for one: `host:port` of its head, from a machine of the "
        "cluster, or `ray://host:10001`. None: such audits are refused.",
    )

    uploads_dir: Path = Field(
        default_factory=lambda data: data.get("state_dir", default_state_dir()) / "uploads",
        description="Folder for the files that clients send; API and workers share it. Default: in `state_dir`.",
    )
    max_upload_bytes: int = Field(10 * 2**30, ge=1, description="Largest file that a client may send.")
    upload_quota_bytes: int = Field(50 * 2**30, ge=1, description="What all uploads of a caller may take together.")
    upload_days: float = Field(7, gt=0, le=3650, description="Days after which an upload is removed.")

    rate_limit: int = Field(6000, ge=0, description="Requests a minute that a caller may make; 0: without limit.")
    rate_burst: int = Field(600, ge=1, description="Requests that a caller who was silent may make at once.")
    max_connections: int = Field(2000, ge=10, description="Connections that an API process keeps open at a time.")
    client_seconds: float = Field(
        30, gt=0, description="How long a client may be silent while it sends a request, before it is hung up on."
    )

    sandbox: Sandbox = Field(
        "auto",
        description="Whether models are locked in: `auto` as well as the kernel can, `require` refuses to run them "
        "where it cannot, `off` not at all.",
    )
    allowed_ops: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(),
        description="Names of TensorFlow's ops, separated by commas, that models may hold beyond those that only "
        "compute.",
    )

    slots: int = Field(
        default_factory=one_a_core,
        ge=0,
        le=256,
        description="Audits at a time on the CPU of this host.",
    )
    gpu_slots: int = Field(1, ge=0, le=64, description="Audits at a time on each GPU of this host.")
    cpu_queue: str = Field(
        "cpu", pattern=QUEUE_PATTERN, description="Queue from which this host's CPU slots take audits."
    )
    gpu_queue: str = Field(
        "gpu", pattern=QUEUE_PATTERN, description="Queue from which this host's GPU slots take audits."
    )
    large_model_bytes: int | None = Field(
        None, gt=0, description="Audits of larger models that ask for no device go to `large_model_queue`."
    )
    large_model_queue: str | None = Field(None, pattern=QUEUE_PATTERN, description="Queue for large models.")
    max_queue: int = Field(5000, ge=1, description="Queued audits beyond which new ones are refused.")
    max_queue_per_caller: int = Field(1000, ge=1, description="Queued audits of one access key, likewise.")
    recycle_after: int = Field(
        500, ge=1, description="Audits after which the process that has TensorFlow loaded is replaced."
    )

    callback_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Hosts to which webhooks may go, separated by commas; `*.example.com` for all below. Plain http "
        "and this machine need an entry such as `localhost` or `127.0.0.1`. None: `callback` is refused.",
    )
    callback_private_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Hosts likewise that may lie in a private network."
    )
    callback_secrets: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        repr=False,
        description="Keys that sign webhooks, separated by commas: `whsec_` and 24 to 64 bytes as Base64. Several "
        "while receivers change from one to the next.",
    )
    callback_attempts: int = Field(10, ge=1, le=30, description="Deliveries of a webhook before it is given up.")

    keep_jobs_days: float | None = Field(
        None, gt=0, description="Finished audits are deleted after so long, with their reports. None: never."
    )
    keep_reports_days: float | None = Field(
        None, gt=0, description="Reports are deleted so long after their audit has finished. None: with the audit."
    )

    lease_seconds: float = Field(30, gt=0, description="A worker unheard of for so long is taken for dead.")
    beat_seconds: float = Field(5, gt=0, description="How often a worker says that it lives.")
    poll_seconds: float = Field(0.3, gt=0, description="How often an idle worker looks for work.")
    shutdown_seconds: float = Field(
        10,
        ge=0,
        description="How long a stop waits for running audits; they are taken up again at the next start.",
    )

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="`auto` is `console` on a terminal, else `json`."
    )

    @field_validator("callback_hosts", "callback_private_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: Any) -> Any:
        return _split(value.lower() if isinstance(value, str) else value, ",")

    @field_validator("callback_secrets")
    @classmethod
    def _decodable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for secret in value:
            if not 24 <= len(secret_bytes(secret)) <= 64:
                raise ValueError(
                    f"write {SECRET_PREFIX} and 24 to 64 random bytes as Base64, such as "
                    f"{SECRET_PREFIX}$(openssl rand -base64 32)"
                )
        return value

    @field_validator("api_keys", "callback_secrets", mode="before")
    @classmethod
    def _split_keys(cls, value: Any) -> Any:
        return _split(value, ",")

    @field_validator("allowed_ops", mode="before")
    @classmethod
    def _split_ops(cls, value: Any) -> Any:
        return _split(value, ",")

    @field_validator("remote", mode="before")
    @classmethod
    def _split_remote(cls, value: Any) -> Any:
        return _split(value, None)

    @field_validator("remote")
    @classmethod
    def _prefixes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for prefix in value:
            if "://" not in prefix:
                raise ValueError(f"{prefix!r} is no prefix of an address: write s3://bucket/folder or https://host/")
        return value

    @field_validator("data_roots", mode="before")
    @classmethod
    def _split_roots(cls, value: Any) -> Any:
        return _split(value, os.pathsep)

    @field_validator("data_roots")
    @classmethod
    def _resolve_roots(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        return tuple(root.expanduser().resolve() for root in value)

    @field_validator("state_dir", "uploads_dir")
    @classmethod
    def _absolute_state(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("log_level", mode="before")
    @classmethod
    def _any_case(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("database")
    @classmethod
    def _known_database(cls, value: str) -> str:
        if not value:
            return value
        try:
            url = make_url(value)
        except ArgumentError:
            raise ValueError("give sqlite:///path or postgresql://user@host/name") from None
        if url.get_backend_name() not in {"sqlite", "postgresql"}:
            raise ValueError(f"{url.get_backend_name()!r} is not supported: use sqlite or postgresql")
        if url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}:
            raise ValueError("name a file: a database in memory cannot be shared by processes")
        return value

    @model_validator(mode="after")
    def _several_beats_a_lease(self) -> "Settings":
        if self.lease_seconds < 2 * self.beat_seconds:
            raise ValueError("lease_seconds must be at least twice beat_seconds: one late beat is no death")
        return self

    @model_validator(mode="after")
    def _large_models_have_a_queue(self) -> "Settings":
        if (self.large_model_bytes is None) != (self.large_model_queue is None):
            raise ValueError("large_model_bytes and large_model_queue are set together")
        return self

    @property
    def database_url(self) -> URL:
        """The database as SQLAlchemy names it: PostgreSQL through psycopg, SQLite files by absolute path."""
        if not self.database:
            return URL.create("sqlite", database=str(self.state_dir / "fitcheck.sqlite"))
        url = make_url(self.database)
        if url.get_backend_name() == "postgresql":
            return url.set(drivername="postgresql+psycopg")
        return url.set(drivername="sqlite", database=str(Path(str(url.database)).expanduser().absolute()))

    @property
    def closed(self) -> tuple[Path, ...]:
        """The service's own files, which no address of a request reaches, wherever the data roots lie."""
        own = (self.uploads_dir, self.state_dir / "run")
        if self.database_url.get_backend_name() != "sqlite":
            return own
        database = str(self.database_url.database)
        return (*own, *(Path(database + ending) for ending in ("", "-wal", "-shm", "-journal")))

    def require_safe_bind(self, *, has_keys: bool = False) -> None:
        """Raise where the service would listen to others than this machine without asking for a key.

        Args:
            has_keys: whether there are keys in the database.

        Raises:
            ValueError: saying what to set.
        """
        if not self.api_keys and not has_keys and not is_loopback(self.host):
            raise ValueError(
                f"host {self.host} can be reached by others: set {PREFIX}API_KEYS, make a key with "
                "`fitcheck keys create`, or listen on 127.0.0.1"
            )

    def require_signed_callbacks(self) -> None:
        """Raise where webhooks may be sent, and nothing would show their receivers that they are ours.

        Raises:
            ValueError: saying what to set.
        """
        if (self.callback_hosts or self.callback_private_hosts) and not self.callback_secrets:
            raise ValueError(
                f"webhooks are signed: set {PREFIX}CALLBACK_SECRETS to {SECRET_PREFIX}$(openssl rand -base64 32), "
                f"or unset {PREFIX}CALLBACK_HOSTS"
            )

    def environment(self, *, without: frozenset[str] = frozenset()) -> dict[str, str]:
        """The settings as environment variables, for processes that we start; leaves out fields named."""
        values = {name: getattr(self, name) for name in type(self).model_fields if name not in without}
        texts = {name: _as_text(name, value) for name, value in values.items()}
        return {PREFIX + name.upper(): text for name, text in texts.items() if text}


def secret_bytes(secret: str) -> bytes:
    """The key in a secret that is written as the Standard Webhooks do; nothing where it cannot be read."""
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return b""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _split(value: Any, separator: str | None) -> Any:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(separator) if part.strip())


def _as_text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, frozenset):
        return ",".join(sorted(value))
    if isinstance(value, tuple):
        return {"data_roots": os.pathsep, "remote": " "}.get(name, ",").join(map(str, value))
    return str(value)


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read from the environment on first use."""
    return Settings()
