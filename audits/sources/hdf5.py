"""HDF5 files, opened without following them elsewhere: no links to other files, nothing unpickled."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import h5py

from audits.sources import damage
from schemas.problem import DataError

MAX_MEMBERS = 10_000
MAX_ATTRIBUTE_BYTES = 2**16
# A chunk is unpacked as a whole.
MAX_CHUNK_BYTES = 2**30
# A small file may not unpack into a huge one, nor promise rows that it does not hold.
MAX_RATIO, RATIO_MATTERS_FROM_BYTES = 1_000, 256 * 2**20
# What h5py raises for files that are damaged, or of types that it does not know.
_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError)


@contextmanager
def opened(path: Path, *, field: str) -> Iterator[h5py.File]:
    """The file, read only.

    Raises:
        DataError: `data_malformed`, also for what is met while it is read.
    """
    try:
        with h5py.File(path, "r") as file:
            yield file
    except DataError:
        raise
    except _DAMAGE as error:
        why = str(error).splitlines()[0][:200].rstrip(".") if str(error) else type(error).__name__
        raise malformed(path, field, why) from None


def members(group: h5py.Group, path: Path, field: str) -> Mapping[str, h5py.Group | h5py.Dataset]:
    """What lies in a group itself; links to elsewhere are left out.

    Raises:
        DataError: `data_malformed`, `data_compression_ratio` or `data_too_large` for a data set that is unsound.
    """
    if len(group) > MAX_MEMBERS:
        raise malformed(path, field, f"a group has {len(group):,} members")
    found: dict[str, h5py.Group | h5py.Dataset] = {}
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        member = group[name]
        if isinstance(member, h5py.Dataset):
            require_sound(member, path, field)
        if isinstance(member, h5py.Dataset | h5py.Group):
            found[name] = member
    return found


def require_sound(dataset: h5py.Dataset, path: Path, field: str) -> None:
    """A data set holds its values here, and about as many as it says."""
    if dataset.is_virtual or dataset.external:
        raise malformed(path, field, f"{dataset.name} holds values of another file")
    first, *others = dataset.shape or (1,)
    # rows without values take no space, however many there are: they count as if they had one
    n_bytes = first * math.prod(max(1, size) for size in others) * dataset.dtype.itemsize
    if n_bytes > max(RATIO_MATTERS_FROM_BYTES, MAX_RATIO * dataset.id.get_storage_size()):
        raise DataError(
            "data_compression_ratio",
            f"{dataset.name} of {path.name} would unpack to {n_bytes:,} bytes, more than {MAX_RATIO} times what is "
            "stored. Write it without compression.",
            field=field,
            file=str(path),
        )
    if dataset.chunks and math.prod(dataset.chunks) * dataset.dtype.itemsize > MAX_CHUNK_BYTES:
        raise DataError(
            "data_too_large",
            f"{dataset.name} of {path.name} is stored in chunks of more than {MAX_CHUNK_BYTES:,} bytes. Write smaller "
            "ones.",
            field=field,
            file=str(path),
        )


def group_of(file: h5py.File, key: str | None, path: Path, field: str) -> h5py.Group | h5py.Dataset:
    """What `key` names, or the whole file.

    Raises:
        DataError: `data_not_found`.
    """
    if not key:
        return file
    place: h5py.Group | h5py.Dataset = file
    for part in key.strip("/").split("/"):
        inside = members(place, path, field) if isinstance(place, h5py.Group) else {}
        if part not in inside:
            raise DataError(
                "data_not_found",
                f"{path.name} holds no {key!r}; it holds {', '.join(list(inside)[:30]) or 'nothing'} there.",
                field=field.rsplit(".", 1)[0] + ".key",
                file=str(path),
            )
        place = inside[part]
    return place


def text_attribute(node: h5py.Group | h5py.Dataset, name: str) -> str:
    """An attribute that is a plain text; "" where it is missing or anything else."""
    if name not in node.attrs:
        return ""
    declared = node.attrs.get_id(name)
    text = h5py.check_string_dtype(declared.dtype) if declared.shape == () else None
    # A text of any length lies in a heap, and a damaged one of those keeps the library busy for ever. PyTables writes
    # texts of a fixed length.
    if text is None or text.length is None or text.length > MAX_ATTRIBUTE_BYTES:
        return ""
    value = node.attrs[name]
    value = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return str(value) if isinstance(value, str) else ""


def malformed(path: Path, field: str, why: str) -> DataError:
    return damage.malformed(path, "HDF5", why, field=field)
