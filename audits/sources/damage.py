"""The problem of a data file that is not what it should be, worded alike for every format."""

from collections.abc import Mapping
from pathlib import Path

from schemas.problem import DataError

# What to do, by what the file should be.
_MENDED: Mapping[str, str] = {
    "CSV": "Correct the file, or say in csv how it is written.",
    "JSON lines": "Write one object a line: frame.to_json(path, orient='records', lines=True).",
    "NumPy": "Write it again with np.savez(path, x=..., y=...).",
    "a saved dataset": "Save it again with tf.data.Dataset.save(path).",
}
_WRITTEN_AGAIN = "Write the file again, or fetch it again if it was copied."


def malformed(
    path: Path, format_: str, why: str, *, field: str, row: int | None = None, code: str = "data_malformed"
) -> DataError:
    """A file that cannot be read: which, as what, why, in which row, and what to do.

    Args:
        path: of the file.
        format_: what it should be, such as "CSV".
        why: what is wrong with it, without a full stop.
        field: of the request, to blame.
        row: counted from 0, where one is to blame.
        code: where it is more special than `data_malformed`.
    """
    return DataError(
        code,
        f"{path.name} cannot be read as {format_}: {why.rstrip('.')}. {_MENDED.get(format_, _WRITTEN_AGAIN)}",
        field=field,
        file=str(path),
        row=row,
    )
