"""Sends the files of this machine that a request names to the service, and names the uploads instead.

A file that the service still has, by its SHA-256 and its name, is not sent again: the same call makes the same
request, so that an idempotency key goes with it.
"""

import hashlib
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from audits.sources.formats import is_data
from audits.sources.locations import DataFile, Roots, resolve, resolve_files
from audits.sources.remote import is_remote
from audits.sources.uploads import is_upload
from schemas.problem import RequestError
from schemas.request import AuditRequest
from schemas.upload import Upload

HERE = Roots((Path("/"),))
BLOCK_BYTES = 2**20
# What expires soon may be gone before its audit begins.
LASTING = timedelta(hours=1)


class Uploader(Protocol):
    """What sends files: the calls of a client."""

    def upload(self, content: Callable[[], Iterable[bytes]], *, name: str, size: int, sha256: str) -> Upload: ...

    def uploads(self) -> Iterable[Upload]: ...


class Display(Protocol):
    """What shows the sending."""

    def sending(self, name: str, size: int) -> AbstractContextManager[Callable[[int], None]]: ...

    def skipped(self, name: str) -> None: ...


class Silent:
    """Shows nothing."""

    def sending(self, name: str, size: int) -> AbstractContextManager[Callable[[int], None]]:  # noqa: ARG002
        return nullcontext(lambda _: None)

    def skipped(self, name: str) -> None:
        pass


def with_uploads(request: AuditRequest, client: Uploader, display: Display | None = None) -> AuditRequest:
    """The request, with every address of this machine replaced by an upload's.

    Raises:
        ProblemError: what is named is not there or cannot be sent; or what the client raises.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fitcheck-")))
        sender = _Sender(client, display or Silent())
        content = request.model_dump(mode="json", exclude_unset=True)
        for field, uris in request.addresses.items():
            if any(_is_here(uri) for uri in uris):
                _put(content, field, [sent for uri in uris for sent in _addresses(uri, field, folder, sender)])
    return AuditRequest.model_validate(content)


def _is_here(uri: str) -> bool:
    return not is_remote(uri) and not is_upload(uri)


def _addresses(uri: str, field: str, folder: Path, send: Callable[[Path, str], str]) -> Iterator[str]:
    if not _is_here(uri):
        yield uri
    elif field == "model.uri":
        yield _send_model(resolve(uri, HERE, field=field)[0], folder, send)
    elif field == "history.uri":
        yield _send_history(resolve(uri, HERE, field=field)[0], send)
    else:
        for file in resolve_files(uri, HERE, field=field, is_data=is_data):
            _require_flat(file, uri, field)
            yield send(file.path, file.path.name)


def _send_model(path: Path, folder: Path, send: Callable[[Path, str], str]) -> str:
    if path.is_file():
        return send(path, path.name)
    archive = folder / f"{path.name or 'model'}.tar"
    pack(path, archive)
    return send(archive, archive.name)


def _send_history(path: Path, send: Callable[[Path, str], str]) -> str:
    if path.is_dir():
        raise RequestError(
            "upload_folder", f"{path} is a folder, which cannot be sent: name one file in it.", field="history.uri"
        )
    return send(path, path.name)


def _require_flat(file: DataFile, uri: str, field: str) -> None:
    if file.partitions:
        raise RequestError(
            "upload_folder",
            f"The folders below {uri} say values of columns ({', '.join(file.partitions)}), which is lost when files "
            "are sent. Write these columns into one file, or copy the folder below a data root of the service.",
            field=field,
        )


def pack(folder: Path, archive: Path) -> None:
    """Write a folder as a tar archive; the same folder gives the same bytes."""
    with tarfile.open(archive, "w", dereference=True) as tar:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            tar.add(path, arcname=str(path.relative_to(folder)), recursive=False, filter=_anonymous)


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname, entry.mode = 0, 0, 0, "", "", 0o644
    return entry


class _Sender:
    """Sends each file once."""

    def __init__(self, client: Uploader, display: Display) -> None:
        self._client = client
        self._display = display
        self._there: Mapping[tuple[str, str], Upload] | None = None
        self._sent: dict[Path, str] = {}

    def __call__(self, path: Path, name: str) -> str:
        if path not in self._sent:
            self._sent[path] = self._send(path, name)
        return self._sent[path]

    def _send(self, path: Path, name: str) -> str:
        sha256 = _sha256(path)
        there = self._uploads().get((sha256, name))
        if there is not None:
            self._display.skipped(name)
            return there.uri
        size = path.stat().st_size
        with self._display.sending(name, size) as advance:
            return self._client.upload(lambda: _told(path, advance), name=name, size=size, sha256=sha256).uri

    def _uploads(self) -> Mapping[tuple[str, str], Upload]:
        if self._there is None:
            lasting = datetime.now(UTC) + LASTING
            # Oldest last: of equal ones the newest lasts longest.
            found = [upload for upload in self._client.uploads() if upload.expires_at > lasting]
            self._there = {(upload.sha256, upload.name): upload for upload in reversed(found)}
        return self._there


def _told(path: Path, advance: Callable[[int], None]) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block
            advance(len(block))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _put(content: dict[str, Any], field: str, uris: list[str]) -> None:
    *parents, last = field.split(".")
    for parent in parents:
        content = content[parent]
    content[last] = uris[0] if len(uris) == 1 else uris
