"""Files from elsewhere, fetched into a scratch folder before anything opens them.

`require_allowed` is the one place where a remote address is let through or refused. Object stores are read through
fsspec with the credentials of the environment; https by `audits.sources.https`.
"""

import hashlib
import posixpath
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

from audits.sources.https import DEADLINE_SECONDS, PORTS, download
from schemas.data import MAX_URI_CHARACTERS
from schemas.problem import DataError, ModelError, ProblemError, RequestError

MAX_FILES = 10_000
MAX_BYTES = 256 * 2**30
COPIED_AT_ONCE = 2**20
SHOWN_CHARACTERS = 200

_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://")
_DOTTED_QUAD = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}")
_SECRET = re.compile(
    r"((?:sig|signature|token|secret|password|credential|x-[a-z]+-[a-z-]+)[a-z_]*)=[^&\s\"']+", re.IGNORECASE
)
_WILDCARDS = re.compile(r"[*?\[]")
# Scheme -> fsspec's protocol, the package that speaks it and our extra.
_STORES: Mapping[str, tuple[str, str, str]] = {
    "s3": ("s3", "s3fs", "s3"),
    "gs": ("gs", "gcsfs", "gcs"),
    "az": ("az", "adlfs", "azure"),
    "abfs": ("abfs", "adlfs", "azure"),
    "abfss": ("abfss", "adlfs", "azure"),
    "memory": ("memory", "fsspec", "s3"),
}
_WEB = frozenset({"https", "http"})
_LOCAL = frozenset({"file", "upload"})
_T = TypeVar("_T")


class Scratch:
    """A folder for fetched files, which remembers where they came from.

    Attributes:
        fetched: address -> what `fetch` answered; nothing is fetched twice.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._addresses: dict[str, str] = {}
        self.fetched: dict[str, tuple[Path, list[Path]]] = {}

    @property
    def is_used(self) -> bool:
        return bool(self._addresses)

    def place(self, address: str, *, secret: str = "") -> tuple[Path, bool]:
        """The folder for what lies below an address, and whether it has been filled.

        What else tells places apart, and must not be said, is `secret`: the query, which may be a signature.
        """
        folder = self.folder / hashlib.sha256(f"{address}?{secret}".encode()).hexdigest()[:16]
        is_known = str(folder) in self._addresses
        self._addresses[str(folder)] = address
        folder.mkdir(exist_ok=True)
        return folder, is_known

    def note(self, path: Path, address: str) -> None:
        """Call a file by its address, wherever it lies."""
        self._addresses[str(path)] = address

    def state(self) -> dict[str, Any]:
        """What has been fetched, as JSON for another process."""
        fetched = {usual: [str(base), [str(path) for path in paths]] for usual, (base, paths) in self.fetched.items()}
        return {"addresses": self._addresses, "fetched": fetched}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Know what another process has fetched into the folder."""
        self._addresses.update(state["addresses"])
        for usual, (base, paths) in state["fetched"].items():
            self.fetched[usual] = Path(base), [Path(path) for path in paths]

    def said(self, value: _T) -> _T:
        """A text, or the texts in lists and mappings, with the addresses in place of the paths that stand for them."""
        if isinstance(value, str):
            text: Any = value
            for folder, address in self._addresses.items():
                text = text.replace(folder, address)
            return text  # type: ignore[no-any-return]
        if isinstance(value, dict):
            return {key: self.said(item) for key, item in value.items()}  # type: ignore[return-value]
        if isinstance(value, list):
            return [self.said(item) for item in value]  # type: ignore[return-value]
        return value


@contextmanager
def scratch() -> Iterator[Scratch]:
    """A scratch folder that is removed at the end; problems name addresses, not its paths."""
    with TemporaryDirectory(prefix="fitcheck-") as folder, named_by(Scratch(Path(folder))) as made:
        yield made


@contextmanager
def named_by(made: Scratch) -> Iterator[Scratch]:
    """Problems name addresses, not the paths of a scratch folder."""
    try:
        yield made
    except ProblemError as problem:
        problem.detail, problem.file = made.said(problem.detail), made.said(problem.file)
        raise


def is_remote(address: str) -> bool:
    """Whether an address has a scheme other than ``file`` and ``upload``."""
    scheme = _SCHEME.match(address)
    return scheme is not None and scheme["scheme"].lower() not in _LOCAL


def require_allowed(address: str, allowed: Sequence[str], *, field: str) -> str:
    """The address in its usual spelling, if it lies below an allowed prefix.

    Raises:
        RequestError: `uri_scheme_forbidden`, `uri_malformed` or `uri_not_allowed`.
    """
    scheme = address.split("://", 1)[0].lower()
    if scheme not in _STORES and scheme not in _WEB:
        raise RequestError(
            "uri_scheme_forbidden",
            f"{scheme}:// addresses are not read. Give a file:///absolute/path or a plain path below the data roots, "
            "or an s3://, gs://, az:// or https:// address that the service allows.",
            field=field,
        )
    parts = _parse(address, scheme, field)
    usual = f"{scheme}://{parts.netloc.lower() if scheme in _WEB else parts.netloc}{parts.path}"
    usual += f"?{parts.query}" if parts.query else ""
    if not any(_is_allowed(usual, scheme, parts, prefix) for prefix in allowed):
        raise RequestError(
            "uri_not_allowed",
            f"{_shown(address)} is not among the addresses that this service fetches. Have its prefix added to "
            "FITCHECK_REMOTE, or copy the files below a data root.",
            field=field,
        )
    return usual


def _parse(address: str, scheme: str, field: str) -> SplitResult:
    """The parts of an address that can be understood in one way only.

    Raises:
        RequestError: `uri_malformed`.
    """
    if len(address) > MAX_URI_CHARACTERS:
        raise _malformed(address, f"it is longer than {MAX_URI_CHARACTERS} characters", field)
    if any(c.isspace() or not c.isprintable() or c == "\\" for c in address):
        raise _malformed(address, "it holds blanks, characters that cannot be seen, or backslashes", field)
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise _malformed(address, "its host or port is none", field) from None
    if parts.username is not None or "#" in address or not parts.netloc or port == 0:
        raise _malformed(address, "write scheme://host/path, without a user name and without #", field)
    # Stores take names as they are; servers on the web decode them, some of them twice.
    path = unquote(parts.path)
    if scheme in _WEB:
        _require_plain(address, parts, path, field)
    if any(segment in {".", ".."} for segment in re.split(r"[/\\]", path)):
        raise _malformed(address, "it holds '..'", field)
    return parts


def _require_plain(address: str, parts: SplitResult, path: str, field: str) -> None:
    host = parts.hostname or ""
    if not address.isascii():
        raise _malformed(address, "write other letters than ASCII as %XX, and in the host as punycode", field)
    if "%" in path or any(not c.isprintable() for c in path):
        raise _malformed(address, "it is encoded twice, or holds control characters", field)
    last = host.rstrip(".").rsplit(".", 1)[-1]
    if re.fullmatch(r"\d+|0x[0-9a-f]*", last) and not _DOTTED_QUAD.fullmatch(host):
        raise _malformed(address, "write an IPv4 address as four decimal numbers", field)


def _is_allowed(usual: str, scheme: str, parts: SplitResult, prefix: str) -> bool:
    if scheme == "https" and parts.port not in {None, PORTS[scheme]}:
        # another port than the usual one is another service, which the operator must name
        return _is_below(usual, prefix) and urlsplit(prefix).netloc.lower() == parts.netloc.lower()
    return _is_below(_fixed_part(usual, scheme), prefix)


def fetch(address: str, allowed: Sequence[str], into: Scratch | None, *, field: str) -> tuple[Path, list[Path]]:
    """Fetch what an address names: a file, a folder with all that is in it, or the matches of a glob.

    Returns:
        The folder that stands for the address's fixed part, and the paths as a local address would give them.

    Raises:
        RequestError: as `require_allowed` does.
        ModelError, DataError: `..._not_found`, `..._unreadable`, `..._too_large`; `extra_missing`, naming the package.
    """
    usual = require_allowed(address, allowed, field=field)
    if into is None:
        raise RequestError("uri_not_allowed", f"{_shown(address)} cannot be fetched here.", field=field)
    if usual not in into.fetched:
        into.fetched[usual] = _fetch(usual, allowed, into, field)
    return into.fetched[usual]


def _fetch(usual: str, allowed: Sequence[str], into: Scratch, field: str) -> tuple[Path, list[Path]]:
    scheme = usual.split("://", 1)[0]
    if scheme in _WEB:
        return _fetch_page(usual, allowed, into, field)
    store = _Store(scheme, field)
    return store.fetch(usual, into)


def _fetch_page(url: str, allowed: Sequence[str], into: Scratch, field: str) -> tuple[Path, list[Path]]:
    parts = urlsplit(url)
    name = posixpath.basename(parts.path) or "index"
    folder, is_known = into.place(url.split("?", 1)[0].rsplit("/", 1)[0], secret=parts.query)
    target = folder / name

    def is_trusted(address: str) -> bool:
        # an operator who names a host may mean one of their own network
        return any(urlsplit(prefix).netloc.lower() == urlsplit(address).netloc.lower() for prefix in allowed)

    def redirected(location: str) -> tuple[str, bool]:
        usual = require_allowed(location, allowed, field=field)
        if usual.split("://", 1)[0] not in _WEB or (parts.scheme == "https" and not usual.startswith("https://")):
            raise OSError("the server redirects away from https, which is not followed")
        return usual, is_trusted(usual)

    if not is_known or not target.exists():
        with _explained(url, field):
            room, trusted = _room(into), is_trusted(url)
            download(url, target, max_bytes=room, private=trusted, field=field, redirected=redirected)
    return target, [target]


class _Store:
    """An object store."""

    def __init__(self, scheme: str, field: str) -> None:
        import fsspec  # noqa: PLC0415  # only where something is fetched

        protocol, package, extra = _STORES[scheme]
        self._field = field
        try:
            self._files = fsspec.filesystem(protocol, skip_instance_cache=protocol != "memory")
        except ImportError:
            raise _problem(field)(
                "extra_missing",
                f"{scheme}:// addresses need the package {package}: pip install 'fitcheck[{extra}]' where the worker "
                "runs.",
                field=field,
            ) from None

    def fetch(self, address: str, into: Scratch) -> tuple[Path, list[Path]]:
        path = address.split("://", 1)[1].rstrip("/")
        scheme = address.split("://", 1)[0]
        deadline = time.monotonic() + DEADLINE_SECONDS
        with _explained(address, self._field):
            is_glob = _WILDCARDS.search(path) is not None
            names = sorted(self._files.glob(path)) if is_glob else [path]
            base = _fixed_part(address, scheme).rstrip("/") if is_glob else address.rstrip("/").rsplit("/", 1)[0]
            found = {name: self._below(name) for name in islice(names, MAX_FILES + 1)}
        files = [file for sizes in found.values() for file in sizes.items()]
        self._require_small(files, into, address)
        folder, _ = into.place(base)
        inside = base.split("://", 1)[1].strip("/")
        with _explained(address, self._field):
            for name, size in files:
                self._copy(name, size, folder / _relative(name, inside), deadline)
        paths = [folder / _relative(name, inside) for name in names]
        return (folder if is_glob else paths[0]), paths

    def _below(self, name: str) -> dict[str, int]:
        """File -> size: itself, or all files in the folder."""
        entries = self._files.find(name, detail=True)
        found = {path.lstrip("/"): int(entry["size"] or 0) for path, entry in entries.items() if not path.endswith("/")}
        if not found:
            raise FileNotFoundError(name)
        return found

    def _require_small(self, files: Sequence[tuple[str, int]], into: Scratch, address: str) -> None:
        if not files:
            raise _not_found(address, self._field)
        if len(files) > MAX_FILES:
            raise DataError("data_too_many_files", f"More than {MAX_FILES:,} files are named.", field=self._field)
        if (total := sum(size for _, size in files)) > _room(into):
            raise _problem(self._field)(
                f"{_kind(self._field)}_too_large",
                f"{_shown(address)} holds {total:,} bytes, more than the worker has room for. Name fewer files.",
                field=self._field,
            )

    def _copy(self, name: str, size: int, target: Path, deadline: float) -> None:
        """A store that sends a block now and then must not keep us: the deadline is that of all files together."""
        if target.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        left = size
        with self._files.open(name, "rb") as source, target.open("xb") as file:
            while block := source.read(COPIED_AT_ONCE):
                left -= len(block)
                if time.monotonic() > deadline:
                    raise OSError(f"it takes longer than {DEADLINE_SECONDS:g} seconds")
                if left < 0:
                    raise OSError(f"{name} grows while it is read")
                file.write(block)
        if left:
            raise OSError(f"{name} is shorter than the store says")
        target.chmod(0o444)


@contextmanager
def _explained(address: str, field: str) -> Iterator[None]:
    """What a store raises, as a problem; each client has exceptions of its own."""
    try:
        yield
    except ProblemError:
        raise
    except FileNotFoundError:
        raise _not_found(address, field) from None
    except Exception as error:
        why = _without_secrets(str(error), address).strip().split("\n", 1)[0][:SHOWN_CHARACTERS].rstrip(".")
        raise _problem(field)(
            f"{_kind(field)}_unreadable",
            f"{_shown(address)} cannot be fetched: {type(error).__name__}{': ' if why else ''}{why}. Check the "
            "address, and that the worker has credentials for it.",
            field=field,
            file=_shown(address),
        ) from None


def _without_secrets(text: str, address: str) -> str:
    """What a store's client says, without the signature that the address may carry, and others like it."""
    query = urlsplit(address).query
    return _SECRET.sub(r"\1=...", text.replace(query, "...") if query else text)


def _relative(name: str, base: str) -> str:
    """The path below the base; never out of it, whatever a store calls its objects."""
    relative = name.strip("/").removeprefix(base).lstrip("/")
    if not relative or any(part in {"", ".", ".."} for part in relative.split("/")) or "\\" in relative:
        raise OSError(f"{name[:SHOWN_CHARACTERS]!r} is no usable name")
    return relative


def _fixed_part(address: str, scheme: str) -> str:
    """The folder that a glob starts in, with a slash; an address without wildcards as it is."""
    wildcard = _WILDCARDS.search(address) if scheme not in _WEB else None
    return address if wildcard is None else address[: wildcard.start()].rsplit("/", 1)[0] + "/"


def _is_below(address: str, prefix: str) -> bool:
    return address == prefix or address.startswith(prefix if prefix.endswith("/") else prefix + "/")


def _room(into: Scratch) -> int:
    """Bytes that may be fetched: a tenth of the disk stays free."""
    usage = shutil.disk_usage(into.folder)
    return min(MAX_BYTES, max(0, usage.free - usage.total // 10))


def _kind(field: str) -> str:
    return field.split(".", 1)[0]


def _problem(field: str) -> Callable[..., ProblemError]:
    return ModelError if _kind(field) == "model" else DataError


def _not_found(address: str, field: str) -> ProblemError:
    return _problem(field)(
        f"{_kind(field)}_not_found",
        f"There is nothing at {_shown(address)}.",
        field=field,
        file=_shown(address),
    )


def _malformed(address: str, why: str, field: str) -> RequestError:
    return RequestError("uri_malformed", f"The address {_shown(address)!r} cannot be read: {why}.", field=field)


def _shown(address: str) -> str:
    """Without the query, which may be a signature."""
    bare = address.split("?", 1)[0]
    return bare if len(bare) <= SHOWN_CHARACTERS else bare[:SHOWN_CHARACTERS] + "..."
