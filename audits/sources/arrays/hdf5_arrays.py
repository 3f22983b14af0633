"""Arrays in an HDF5 file: the data sets of one group, such as x and y."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np

from audits.artefacts import Array
from audits.sources import hdf5
from audits.sources.arrays.numpy_files import SUPPORTED_KINDS, ArrayHeader, native
from schemas.problem import DataError


class Hdf5Arrays:
    """The numeric and textual data sets of a group; others are left out.

    Raises:
        DataError: when it is opened: `data_malformed`, `data_not_found`, `data_compression_ratio`, `data_too_large`.
    """

    def __init__(self, path: Path, key: str | None, *, field: str) -> None:
        self.path = path
        self._key = key
        self._field = field
        self.headers: Mapping[str, ArrayHeader] = {}
        self.unread: Mapping[str, DataError] = {}
        with hdf5.opened(path, field=field) as file:
            self.headers = {name: _header(dataset) for name, dataset in self._datasets(file).items()}

    def rows_of(self, name: str, rows: int, first: int = 0) -> Iterator[Array]:
        with hdf5.opened(self.path, field=self._field) as file:
            dataset = self._datasets(file)[name]
            is_text = h5py.check_string_dtype(dataset.dtype) is not None
            for start in range(first, self.headers[name].shape[0], rows):
                block = (dataset.asstr(errors="replace") if is_text else dataset)[start : start + rows]
                yield np.asarray(block, dtype=object) if is_text else native(np.asarray(block))

    def is_divisible(self, names: Sequence[str]) -> bool:  # noqa: ARG002 - whichever they are
        return False  # the library lets one thread of a process read at a time

    def _datasets(self, file: h5py.File) -> dict[str, h5py.Dataset]:
        group = hdf5.group_of(file, self._key, self.path, self._field)
        if isinstance(group, h5py.Dataset):
            return {}
        inside = hdf5.members(group, self.path, self._field)
        return {
            name: member
            for name, member in inside.items()
            if isinstance(member, h5py.Dataset) and member.shape is not None and _is_read(member)
        }


def _is_read(dataset: h5py.Dataset) -> bool:
    return h5py.check_string_dtype(dataset.dtype) is not None or dataset.dtype.kind in SUPPORTED_KINDS


def _header(dataset: h5py.Dataset) -> ArrayHeader:
    is_text = h5py.check_string_dtype(dataset.dtype) is not None
    return ArrayHeader(tuple(dataset.shape), np.dtype("U1") if is_text else dataset.dtype, False)
