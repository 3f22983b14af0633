"""From the addresses of a request to files below the data roots.

An address is a ``file://`` URI or a plain path; a relative path is looked up below each root in turn. It names a
file, a folder or a glob (``*``, ``?``, ``[...]``, ``**``). ``upload://`` names what a client sent
(audits.sources.uploads). Other schemes are fetched into a scratch folder first
(audits.sources.remote), where they are allowed.
"""

import glob
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import unquote

from audits.naming import suggestion
from audits.sources import uploads
from audits.sources.globbing import MAX_PLACES, TooManyPlacesError, matches
from audits.sources.remote import Scratch, fetch, is_remote
from schemas.problem import DataError, ModelError, ProblemError, RequestError

MAX_FILES = 10_000
SHOWN_CHARACTERS = 200
SHOWN_ROOTS = 5
MAX_COMPARED = 1000  # names that one which is not there is compared with

_PARTITION = re.compile(r"(?P<key>[^=]+)=(?P<value>[^=]*)")
_HIVE_HOLE = "__HIVE_DEFAULT_PARTITION__"
_FILE_URI = re.compile(r"file:(?://(?P<host>[^/]*)|(?!//))(?P<path>/.*)", re.IGNORECASE | re.DOTALL)
_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_MAGIC = re.compile(r"[*?[]")


@dataclass(frozen=True)
class Roots:
    """Where data may be read from.

    Attributes:
        folders: below which files may be read.
        remote: prefixes of the addresses elsewhere that may be read, such as ``s3://bucket/folder``.
        scratch: where remote files are put; None refuses to fetch any.
        uploads: where the files that clients sent lie; None reads none.
        closed: folders that no address reaches, though they may lie below the others: the service's own.
    """

    folders: tuple[Path, ...]
    remote: tuple[str, ...] = ()
    scratch: Scratch | None = None
    uploads: Path | None = None
    closed: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        for name in ("folders", "closed"):
            object.__setattr__(self, name, tuple(Path(folder).resolve() for folder in getattr(self, name)))

    def contain(self, resolved: Path) -> bool:
        """Whether a path without symbolic links lies below a root."""
        # The scratch folder may itself lie in one that is closed.
        if self.scratch is not None and resolved.is_relative_to(self.scratch.folder):
            return True
        if any(resolved.is_relative_to(folder) for folder in self.closed):
            return False
        return any(resolved.is_relative_to(folder) for folder in self.folders)


@dataclass(frozen=True)
class DataFile:
    """A file of data.

    Attributes:
        path: of the file.
        partitions: what the names of its folders say (``year=2024``), below the folder or glob that was named.
    """

    path: Path
    partitions: Mapping[str, str | None]


def resolve(uri: str | Sequence[str], roots: Roots, *, field: str) -> tuple[Path, ...]:
    """The files and folders that the addresses name, in the order given; the matches of a glob are sorted.

    Remote addresses are fetched first; the paths then lie in the scratch folder.

    Args:
        uri: one address or several.
        roots: where files may lie; symbolic links are followed first.
        field: request field to blame.

    Raises:
        RequestError: `uri_malformed`, `uri_scheme_forbidden`, `uri_outside_roots` or `uri_not_allowed`.
        ModelError, DataError: nothing is there, `model_not_found`, `data_not_found` or `history_not_found`; or what
            `audits.sources.remote.fetch` raises.
    """
    return tuple(found.path for found in _resolve_all(uri, roots, field))


def resolve_files(
    uri: str | Sequence[str], roots: Roots, *, field: str, is_data: Callable[[str], bool]
) -> tuple[DataFile, ...]:
    """As `resolve`, with each folder replaced by the files in it that are data by their names; regular files alone.

    Hidden files and those whose name begins with ``_`` (markers such as ``_SUCCESS``) are left out of folders. Folders
    in a folder are looked into where they are partitions, named ``key=value``.

    Raises:
        RequestError, DataError: as `resolve` does; `data_not_found` where a folder holds no such file,
            `data_not_regular_file`.
    """
    files: list[DataFile] = []
    for found in _resolve_all(uri, roots, field):
        for path in _files_of(found.path, roots, field, is_data):
            require_regular(path.resolve(), field)
            files.append(DataFile(path.resolve(), _partitions(path, found.base)))
    if len(files) > MAX_FILES:
        raise _too_many(field)
    return tuple(files)


@dataclass(frozen=True)
class _Found:
    """A path, and the folder that was named or that a glob starts in."""

    path: Path
    base: Path


def _resolve_all(uri: str | Sequence[str], roots: Roots, field: str) -> list[_Found]:
    addresses = [uri] if isinstance(uri, str) else list(uri)
    found = [path for address in addresses for path in _resolve_one(address, roots, field)]
    if len(found) > MAX_FILES:
        raise _too_many(field)
    return found


def _partitions(path: Path, base: Path) -> dict[str, str | None]:
    """Column -> value, from folders named as Hive names them."""
    if not path.is_relative_to(base):
        return {}
    named = [_PARTITION.fullmatch(part) for part in path.relative_to(base).parts[:-1]]
    values = {unquote(match["key"]): unquote(match["value"]) for match in named if match is not None}
    return {key: None if value == _HIVE_HOLE else value for key, value in values.items()}


def walk(folder: Path, roots: Roots, *, field: str, suffixes: frozenset[str], skipped: Counter[str]) -> Iterator[Path]:
    """The regular files of the folder and of those below it whose suffix is known, folder by folder in order.

    Links to folders are not followed, hidden files and folders left out; of other files, the suffixes are counted
    in `skipped`.

    Raises:
        RequestError: a link leads out of the roots.
        DataError: `data_not_regular_file`.
    """
    for place, folders, files in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(place, name)
            if name.startswith("."):
                continue
            if path.suffix.lower() not in suffixes:
                skipped[path.suffix.lower()] += 1
                continue
            resolved = _without_links(path)
            if resolved is None or not roots.contain(resolved):
                raise _outside(str(path), field)
            require_regular(resolved, field)
            yield path


def _resolve_one(address: str, roots: Roots, field: str) -> list[_Found]:
    if uploads.is_upload(address):
        sent = uploads.locate(address, roots.uploads, field=field)
        if roots.scratch is not None:
            roots.scratch.note(sent, address)
        return [_Found(sent, sent)]
    if is_remote(address):
        base, paths = fetch(address, roots.remote, roots.scratch, field=field)
        return [_Found(path, base) for path in paths]
    path, pattern = _parse(address, field)
    candidates = _below_roots(path, roots)
    if not candidates:
        raise _outside(address, field)
    for candidate in candidates:
        if _exists(candidate, field):
            return [_Found(candidate, candidate)]
    if pattern is None:
        raise _not_found(address, field, _hint(path, pattern, roots))
    return _expand(address, pattern, roots, field)


def _parse(address: str, field: str) -> tuple[str, str | None]:
    """The path, and the glob pattern where there is one.

    An escaped wildcard (``%2A``) is a plain character.
    """
    if any(ord(c) < 32 or ord(c) == 127 for c in address):
        raise _malformed(address, "it holds control characters", field)
    try:
        os.fsencode(address)
    except UnicodeEncodeError:
        raise _malformed(address, "it holds half a character, which no file name does", field) from None
    is_uri = _FILE_URI.fullmatch(address)
    if is_uri is None:
        _require_no_scheme(address, field)
        return address, address if _MAGIC.search(address) else None
    if is_uri["host"] not in {None, "", "localhost"}:
        raise _malformed(address, f"files of the host {is_uri['host']!r} cannot be read; write file:///path", field)
    raw = is_uri["path"]
    if "#" in raw:
        raise _malformed(address, "write # as %23", field)
    if "%" in _ESCAPES.sub("", raw):
        raise _malformed(address, "a % must be followed by two hexadecimal digits; write % as %25", field)
    try:
        path = unquote(raw, errors="strict")
        pattern = _ESCAPES.sub(lambda m: glob.escape(unquote(m[0], errors="strict")), raw)
    except UnicodeDecodeError:
        raise _malformed(address, "the escapes are not UTF-8", field) from None
    if "\0" in path:
        raise _malformed(address, "it holds a NUL", field)
    return path, pattern if _MAGIC.search(raw) else None


def _require_no_scheme(address: str, field: str) -> None:
    if address.lower().startswith("file:/"):
        raise _malformed(address, "write file:///absolute/path", field)


def _below_roots(path: str, roots: Roots) -> list[Path]:
    """The path without symbolic links: below each root where it is relative, and only if it stays there."""
    places = [Path(path)] if path.startswith("/") else [folder / path for folder in roots.folders]
    resolved = (_without_links(place) for place in places)
    return [place for place in resolved if place is not None and roots.contain(place)]


def _without_links(path: Path) -> Path | None:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a loop of links, or a name that is too long
        return None


def _exists(path: Path, field: str) -> bool:
    try:
        path.stat()
    except PermissionError:
        raise _problem(field)(
            f"{_kind(field)}_unreadable", f"The service may not read {path}: grant it access.", field=field
        ) from None
    except OSError:
        return False
    return True


def _expand(address: str, pattern: str, roots: Roots, field: str) -> list[_Found]:
    """The sorted matches of a glob below the first root that has any."""
    if ".." in Path(pattern).parts:
        raise _malformed(address, "a glob may not hold '..'", field)
    places = [pattern] if pattern.startswith("/") else [f"{glob.escape(str(f))}/{pattern}" for f in roots.folders]
    for place in places:
        if not roots.contain(_fixed_part(place)):
            raise _outside(address, field)
        try:
            found = sorted(islice(matches(place), MAX_FILES + 1))
        except TooManyPlacesError:
            raise _too_many_folders(address, field) from None
        paths = [_without_links(Path(match)) for match in found]
        confined = [path for path in paths if path is not None and roots.contain(path)]
        if len(confined) < len(paths):
            raise _outside(address, field)
        if confined:
            return [_Found(path, _fixed_part(place)) for path in confined]
    raise _not_found(address, field, _hint(pattern, pattern, roots))


def start_of_glob(address: str, field: str) -> Path | None:
    """The folder that a local glob starts in, without symbolic links; None for an address that is no glob.

    Raises:
        RequestError: `uri_malformed`.
    """
    _, pattern = _parse(address, field)
    return None if pattern is None else _fixed_part(pattern)


def _fixed_part(pattern: str) -> Path:
    """The folder that a glob starts in, without symbolic links."""
    fixed: list[str] = []
    for part in Path(pattern).parts:
        # glob.escape writes a wildcard that is meant literally as a class of one character
        literal = re.sub(r"\[([*?[])\]", "", part)
        if _MAGIC.search(literal):
            break
        fixed.append(re.sub(r"\[([*?[])\]", r"\1", part))
    return Path(*fixed).resolve()


def _files_of(path: Path, roots: Roots, field: str, is_data: Callable[[str], bool]) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    named = list(islice(_below(path, is_data), MAX_FILES + 1))
    if not named:
        raise DataError(
            "data_not_found",
            f"The folder {path} holds no file that ends as data do (.csv, .parquet, .jsonl, .tfrecord, .npz, ...). "
            "Name a file, or a glob such as folder/**/*.parquet.",
            field=field,
            file=str(path),
        )
    for child in named:
        resolved = _without_links(child)
        if resolved is None or not roots.contain(resolved):
            raise _outside(str(child), field)
        yield child


def _below(folder: Path, is_data: Callable[[str], bool]) -> Iterator[Path]:
    """The files of a folder and of its partitions, in order."""
    for child in sorted(folder.iterdir()):
        if child.name.startswith((".", "_")):
            continue
        if child.is_dir():
            if _PARTITION.fullmatch(child.name) and not child.is_symlink():
                yield from _below(child, is_data)
        elif is_data(child.name):
            yield child


def require_regular(path: Path, field: str) -> None:
    """A FIFO would hang the reader for ever, a device has no end."""
    if not _exists(path, field):
        raise _not_found(str(path), field)
    if not stat.S_ISREG(path.stat().st_mode):
        raise DataError(
            "data_not_regular_file", f"{path} is not a regular file; name files alone.", field=field, file=str(path)
        )


def _kind(field: str) -> str:
    return field.split(".", 1)[0]


def _problem(field: str) -> type[ProblemError]:
    return ModelError if _kind(field) == "model" else DataError


def _not_found(address: str, field: str, hint: str = "Check the address.") -> ProblemError:
    return _problem(field)(
        f"{_kind(field)}_not_found",
        f"There is nothing at {_shown(address)}. {hint}",
        field=field,
        file=_shown(address),
    )


def _hint(path: str, pattern: str | None, roots: Roots) -> str:
    """The name that was meant, as far as one is there, and where a relative path was looked up."""
    near = "" if pattern else next(filter(None, map(_likely, _below_roots(path, roots))), "")
    folders = ", ".join(map(str, roots.folders[:SHOWN_ROOTS]))
    looked = "" if path.startswith("/") else f" Relative paths are looked up below the data roots: {folders}."
    return (near or " Check the address.").strip() + looked


def _likely(missing: Path) -> str:
    """A sentence with the closest name in the folder of a path that is not there; or nothing."""
    folder = missing.parent
    try:
        names = [child.name for child in islice(folder.iterdir(), MAX_COMPARED)]
    except OSError:
        return ""
    return suggestion(missing.name, [name for name in names if not name.startswith(".")])


def _outside(address: str, field: str) -> RequestError:
    return RequestError(
        "uri_outside_roots",
        f"{_shown(address)} does not lie below a data root, so it is not read. Move it there, or have the service "
        "started with --data-root (FITCHECK_DATA_ROOTS) naming its folder.",
        field=field,
    )


def _malformed(address: str, why: str, field: str) -> RequestError:
    return RequestError("uri_malformed", f"The address {_shown(address)!r} cannot be read: {why}.", field=field)


def _too_many_folders(address: str, field: str) -> DataError:
    return DataError(
        "data_too_many_files",
        f"More than {MAX_PLACES:,} folders would have to be looked through for {_shown(address)}. Name a folder "
        "further down.",
        field=field,
    )


def _too_many(field: str) -> DataError:
    return DataError("data_too_many_files", f"More than {MAX_FILES:,} files are named; merge them.", field=field)


def _shown(address: str) -> str:
    return address if len(address) <= SHOWN_CHARACTERS else address[:SHOWN_CHARACTERS] + "..."
