"""Files that clients sent: ``upload://<id>`` names a file in a folder that only the service writes to.

Whether an upload is the caller's is decided before an audit is queued; here an id is only turned into its file.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from audits.sources import compression
from audits.sources.formats import FORMAT_OF_SUFFIX
from schemas.problem import DataError, ModelError, ProblemError, RequestError

SCHEME = "upload://"
SHOWN_CHARACTERS = 100
_URI = re.compile(r"upload://([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_MODEL_SUFFIXES = frozenset({".keras", ".zip", ".tar", ".tgz", ".pb"})
_LOG_SUFFIXES = frozenset({".log"})
SUFFIXES = frozenset(FORMAT_OF_SUFFIX) | compression.SUFFIXES | _MODEL_SUFFIXES | _LOG_SUFFIXES
# TensorBoard's files are told by this part of their name, which is no suffix.
_EVENTS = "tfevents"


def is_upload(address: str) -> bool:
    return address[: len(SCHEME)].lower() == SCHEME


def upload_id(address: str, *, field: str) -> str:
    """The id in an address.

    Raises:
        RequestError: `uri_malformed`.
    """
    match = _URI.fullmatch(address)
    if match is None:
        raise RequestError(
            "uri_malformed",
            f"The address {address[:SHOWN_CHARACTERS]!r} cannot be read: write the `uri` that POST /v1/uploads "
            "answered with, unchanged.",
            field=field,
        )
    return match[1]


def ids_in(addresses: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Upload id -> the field that first names it.

    Args:
        addresses: field -> its addresses, of any scheme.

    Raises:
        RequestError: `uri_malformed`.
    """
    found: dict[str, str] = {}
    for field, uris in addresses.items():
        for uri in filter(is_upload, uris):
            found.setdefault(upload_id(uri, field=field), field)
    return found


def unknown(id_: str, field: str) -> RequestError:
    """What is said of an upload that does not exist, and likewise of another caller's."""
    return RequestError(
        "upload_not_found",
        f"There is no upload {id_!r} of yours; it may have expired. Send the file again: POST /v1/uploads.",
        field=field,
    )


def file_name(id_: str, name: str) -> str:
    """What the file of an upload is called on disk: its id, with what the client's name says of the format."""
    if _EVENTS in name:
        return f"{id_}.{_EVENTS}"
    suffixes = [suffix.lower() for suffix in Path(name).suffixes[-2:]]
    while suffixes and not set(suffixes) <= SUFFIXES:
        suffixes.pop(0)
    return id_ + "".join(suffixes)


def locate(address: str, folder: Path | None, *, field: str) -> Path:
    """The file of an upload.

    Raises:
        RequestError: `uri_malformed`, or `uri_scheme_forbidden` where no uploads are taken.
        ModelError, DataError: `..._not_found`: it expired, or lies on another machine.
    """
    if folder is None:
        raise RequestError(
            "uri_scheme_forbidden",
            "upload:// addresses exist only in a service. Here, give a path or file:///absolute/path.",
            field=field,
        )
    id_ = upload_id(address, field=field)
    for path in sorted((folder / id_).glob(f"{id_}*")):
        if path.is_file() and not path.is_symlink():
            return path.resolve()
    raise _missing(address, field)


def _missing(address: str, field: str) -> ProblemError:
    kind = field.split(".", 1)[0]
    return (ModelError if kind == "model" else DataError)(
        f"{kind}_not_found",
        f"The file of {address} is not here. It has expired, or this worker does not share FITCHECK_UPLOADS_DIR with "
        "the API.",
        field=field,
        file=address,
    )
