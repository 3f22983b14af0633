"""TensorBoard log folders, as the Keras callback writes them: event files below train/ and validation/."""

import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import isfinite, nan
from pathlib import Path

from audits.sources.histories import runs
from audits.sources.histories.event_file import (
    MAX_RECORDS,
    Budget,
    Scalar,
    TooManyRecordsError,
    scalars,
)
from audits.sources.histories.runs import Epochs, Joined
from audits.sources.records.framing import CutOffError, DamagedRecordError
from schemas.problem import DataError

FIELD = "history.uri"
MARK = "tfevents"
MAX_DEPTH = 4
MAX_ENTRIES = 20_000
MAX_FILES = 500
MAX_BYTES = 2 * 2**30
MAX_TAGS = 500
MAX_TAG_CHARACTERS = 200
MAX_EPOCHS = 100_000
RUNS_SHOWN = 10
EPOCH = "epoch_"
# What Keras logs after each batch, or over batches: it has no place in a history of epochs.
_BATCHES = ("batch_", "evaluation_")
_PARTS = {"train": "", "training": "", "validation": "val_", "valid": "val_", "val": "val_", "test": "val_"}


@dataclass
class _File:
    """What an event file holds.

    Attributes:
        path: of the file.
        part: "" for training, "val_" for validation.
        begun: seconds since 1970 of its first scalar.
        segments: its epochs, cut where they begin anew.
    """

    path: Path
    part: str
    begun: float = float("inf")
    ended: float = float("-inf")
    segments: list[Epochs] = field(default_factory=list)


def read_folder(folder: Path) -> tuple[dict[str, list[float]], list[str]]:
    """Metric -> its value after each epoch, and notes on what was decided; NaN where nothing was logged.

    The scalars `epoch_loss` below train/ and validation/ become `loss` and `val_loss`, as in `History.history`.
    Epochs keep their order, whatever number the log begins with.

    Raises:
        DataError: `history_not_found` without event files, `history_ambiguous` with several runs,
            `history_malformed` with damaged or empty ones.
    """
    return _read_run(folder, _the_run(folder, _event_files(folder)))


def read_file(path: Path) -> tuple[dict[str, list[float]], list[str]]:
    """As `read_folder`, of a single event file."""
    _require_readable(path, [path])
    return _read_run(path, [path])


def _read_run(folder: Path, run: Sequence[Path]) -> tuple[dict[str, list[float]], list[str]]:
    notes: list[str] = []
    budget = Budget()
    try:
        epochs_only = any(_holds_epochs(path, budget) for path in run)
        files = [_read(path, epochs_only, notes, budget) for path in run]
    except TooManyRecordsError:
        raise _malformed(
            folder, f"its event files hold more than {MAX_RECORDS:,} records; log epochs alone (update_freq='epoch')"
        ) from None
    joined = runs.join(_sessions([file for file in files if file.segments]))
    if not joined.epochs:
        raise _malformed(folder, "it holds no scalars of epochs; log with keras.callbacks.TensorBoard")
    return joined.metrics(), notes + joined.notes + _timing(files, joined)


def _event_files(folder: Path) -> list[Path]:
    """All event files below a folder, sorted; links that lead out of it are refused."""
    top = folder.resolve()
    found: list[Path] = []
    seen = 0
    level = [top]
    for _ in range(MAX_DEPTH):
        below: list[Path] = []
        for place in level:
            for entry in sorted(islice(_listed(place), MAX_ENTRIES)):
                seen += 1
                if seen > MAX_ENTRIES:
                    raise _malformed(folder, f"it holds more than {MAX_ENTRIES:,} files; name the folder of one run")
                if entry.is_symlink() and not entry.resolve().is_relative_to(top):
                    continue
                if entry.is_dir():
                    below.append(entry)
                elif MARK in entry.name and "profile-empty" not in entry.name:
                    found.append(entry)
        level = below
    if not found:
        raise DataError(
            "history_not_found",
            f"The folder {folder} holds no TensorBoard event files (events.out.tfevents...). Name the log_dir of "
            "keras.callbacks.TensorBoard, or a file.",
            field=FIELD,
            file=str(folder),
        )
    _require_readable(folder, found)
    return found


def _listed(place: Path) -> Sequence[Path]:
    try:
        return list(islice(place.iterdir(), MAX_ENTRIES + 1))
    except OSError as error:
        raise _unreadable(place, f"cannot be read: {error.strerror}") from None


def _require_readable(folder: Path, files: Sequence[Path]) -> None:
    if len(files) > MAX_FILES:
        raise _malformed(folder, f"it holds more than {MAX_FILES} event files; name the folder of one run")
    total = 0
    for path in files:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            # a FIFO would hang the reader for ever
            raise _unreadable(path, "is no regular file")
        total += info.st_size
    if total > MAX_BYTES:
        raise _malformed(folder, f"its event files are larger than {MAX_BYTES:,} bytes together; name one run")


def _the_run(folder: Path, files: Sequence[Path]) -> list[Path]:
    """The event files of the only run below the folder."""
    by_run: dict[Path, list[Path]] = {}
    for path in files:
        place = path.parent
        by_run.setdefault(place.parent if place.name.lower() in _PARTS else place, []).append(path)
    if len(by_run) == 1:
        return next(iter(by_run.values()))
    top = folder.resolve()
    names = [str(run.relative_to(top)) if run.is_relative_to(top) else run.name for run in sorted(by_run)]
    shown = ", ".join(names[:RUNS_SHOWN]) + (f" and {len(names) - RUNS_SHOWN} more" if len(names) > RUNS_SHOWN else "")
    raise DataError(
        "history_ambiguous",
        f"{folder} holds the logs of {len(by_run)} runs: {shown}. Name the folder of the run that trained this model.",
        field=FIELD,
        file=str(folder),
    )


def _holds_epochs(path: Path, budget: Budget) -> bool:
    """Whether Keras' names stand in the file; other writers name their scalars as they like."""
    try:
        return next(iter(scalars(path, lambda tag: tag.startswith(EPOCH), budget)), None) is not None
    except (CutOffError, DamagedRecordError, OSError):
        return False  # said when the file is read


def _read(path: Path, epochs_only: bool, notes: list[str], budget: Budget) -> _File:
    file = _File(path, _PARTS.get(path.parent.name.lower(), ""))
    names: dict[str, str] = {}

    def wanted(tag: str) -> bool:
        if tag in names:
            return True
        name = _metric(tag, file.part, epochs_only)
        if name is None or len(names) >= MAX_TAGS:
            return False
        names[tag] = name
        return True

    epochs: list[tuple[int, dict[str, float]]] = []
    latest: dict[int, dict[str, float]] = {}
    try:
        for scalar in scalars(path, wanted, budget):
            _add(epochs, latest, scalar, names[scalar.tag], path)
            file.begun, file.ended = min(file.begun, scalar.wall_time), max(file.ended, scalar.wall_time)
    except CutOffError as cut:
        notes.append(
            f"{path.name} ends inside record {cut.record}, as when a run is killed; what stands before is used"
        )
    except DamagedRecordError as damage:
        raise DataError(
            "history_malformed",
            f"Record {damage.record} of {path.name} is damaged: {damage.why}. Copy the log again, or remove the file.",
            field=FIELD,
            file=str(path),
            row=damage.record,
        ) from None
    except OSError as error:
        raise _unreadable(path, f"cannot be read: {error.strerror}") from None
    file.segments = runs.segments([(number, values) for number, values in epochs])
    return file


def _add(
    epochs: list[tuple[int, dict[str, float]]],
    latest: dict[int, dict[str, float]],
    scalar: Scalar,
    name: str,
    path: Path,
) -> None:
    """To the latest epoch of this step, or to a new one where that has the metric already."""
    value = scalar.value if isfinite(scalar.value) else nan
    if name not in latest.get(scalar.step, {name: nan}):
        # some writers log one metric after the other, each over all of its epochs
        latest[scalar.step][name] = value
        return
    if len(epochs) >= MAX_EPOCHS:
        raise _malformed(path, f"it holds more than {MAX_EPOCHS:,} epochs")
    latest[scalar.step] = {name: value}
    epochs.append((scalar.step, latest[scalar.step]))


def _metric(tag: str, part: str, epochs_only: bool) -> str | None:
    """The name in a history, or None for what is none of its metrics."""
    if len(tag) > MAX_TAG_CHARACTERS or tag.startswith(_BATCHES):
        return None
    if tag.startswith(EPOCH):
        return part + tag.removeprefix(EPOCH)
    if epochs_only:
        return None
    words = [word for word in tag.split("/") if word]
    if len(words) == 2:
        # loss/validation, or validation/loss
        for place, other in ((0, 1), (1, 0)):
            if words[place].lower() in _PARTS:
                return _PARTS[words[place].lower()] + words[other].lower()
    return part + tag


def _sessions(files: Sequence[_File]) -> list[Epochs]:
    """The segments of all files in the order of writing, training and validation of one call of `fit` together."""
    sessions: list[list[_File]] = []
    for file in sorted(files, key=lambda f: (f.begun, str(f.path))):
        if not sessions or any(other.path.parent == file.path.parent for other in sessions[-1]):
            sessions.append([])
        sessions[-1].append(file)
    told: list[Epochs] = []
    for session in sessions:
        for place in range(max(len(file.segments) for file in session)):
            merged: dict[int, dict[str, float]] = {}
            for file in session:
                for number, values in file.segments[place] if place < len(file.segments) else []:
                    merged.setdefault(number, {}).update(values)
            told.append(sorted(merged.items()))
    return told


def _timing(files: Sequence[_File], joined: Joined) -> list[str]:
    first = joined.epochs[0][0]
    notes = [f"the log begins at step {first}"] if first not in {0, 1} else []
    begun, ended = min(file.begun for file in files), max(file.ended for file in files)
    if isfinite(begun) and isfinite(ended) and ended > begun:
        notes.append(f"logged over {ended - begun:,.0f} seconds")
    return notes


def _unreadable(path: Path, why: str) -> DataError:
    return DataError("history_unreadable", f"{path} {why}.", field=FIELD, file=str(path))


def _malformed(path: Path, why: str) -> DataError:
    return DataError("history_malformed", f"{path.name} is no training history: {why}.", field=FIELD, file=str(path))
