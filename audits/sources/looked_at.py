"""Files that an audit looks at, known again by what `stat` says of them: they must stay as they are until all is read.

The heads of the data are read before the rows, and a model's graph before TensorFlow loads it. What is exchanged
between the two would be judged by what it is not.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

from audits.sources.graph.files import model_files
from audits.sources.locations import Roots, resolve
from audits.sources.model.containers import locate
from audits.sources.remote import is_remote
from schemas.problem import DataError, ModelError, ProblemError
from schemas.request import AuditRequest

# A folder of images may hold more; looking at them all twice would take longer than an audit can spare.
MAX_FILES = 100_000
_WATCHED = ("model.uri", "data.train.uri", "data.validation.uri", "data.train.label_uri", "data.validation.label_uri")

_Identity = tuple[int, int, int, int]


class LookedAt:
    """The model and the data of a request as they are when this is made. What is fetched from elsewhere is ours."""

    def __init__(self, request: AuditRequest, roots: Roots) -> None:
        self._seen: dict[Path, tuple[str, _Identity]] = {}
        for field in _WATCHED:
            for address in request.addresses[field]:
                # What cannot be looked at is told when it is opened, which says more.
                with suppress(ProblemError, OSError):
                    if not is_remote(address):
                        self._note(field, address, roots)

    @contextmanager
    def stay_the_same(self) -> Iterator[None]:
        """Read them in here.

        Raises:
            ModelError, DataError: `model_changed`, `data_changed`, naming the file. Where something else went wrong and
                a file has changed, this is why.
        """
        try:
            yield
        except (ModelError, DataError):
            self._require_same()
            raise
        self._require_same()

    def _note(self, field: str, address: str, roots: Roots) -> None:
        for path in resolve(address, roots, field=field):
            for file in islice(_files(field, path), MAX_FILES - len(self._seen)):
                self._seen.setdefault(file, (field, _identity(file)))

    def _require_same(self) -> None:
        for path, (field, before) in self._seen.items():
            try:
                is_same = _identity(path) == before
            except OSError:
                is_same = False
            if not is_same:
                raise _changed(path, field)


def _files(field: str, path: Path) -> Iterator[Path]:
    if field != "model.uri":
        yield from _below(path)
        return
    found = locate(path).path
    parts = model_files(found) if found.is_dir() else (found,)
    for part in filter(Path.exists, parts):
        yield from _below(part)


def _below(path: Path) -> Iterator[Path]:
    """The file, or those in the folder that no one hides."""
    if not path.is_dir():
        yield path
        return
    for place, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place, name) for name in names if not name.startswith((".", "_")))


def _identity(path: Path) -> _Identity:
    seen = path.stat()
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns


def _changed(path: Path, field: str) -> ProblemError:
    kind = field.split(".", 1)[0]
    return (ModelError if kind == "model" else DataError)(
        f"{kind}_changed",
        f"{path} changed during the audit: what was read first is not what was read later. Submit the audit again when "
        "nothing writes there any more, or name a copy.",
        field=field,
        file=str(path),
    )
