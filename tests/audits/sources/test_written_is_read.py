"""What is written is what is read, in every format of tables; and what is damaged afterwards is said to be so."""

import csv
import faulthandler
import io
import json
import os
import signal
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pyarrow import feather, parquet

from audits.sources import Roots, open_splits
from schemas.data import Data
from schemas.problem import ProblemError
from tests.audits.sources.test_table_formats import example, record

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Of two columns, so that no cell stands for a whole line.
NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=64)
WHOLE = st.integers(-(2**53), 2**53)
# Letters of several scripts, and all that formats of text treat in a way of their own; no holes, no numbers.
TEXTS = st.text(st.sampled_from("abcXYZ äß漢🙂,;|\t\"'\\#%{}[]:\n"), max_size=12).map(lambda text: f"t{text}t")
Rows = Sequence[tuple[float, int, str]]
ROWS = st.lists(st.tuples(NUMBERS, WHOLE, TEXTS), min_size=1, max_size=12)


def frame(rows: Rows) -> pd.DataFrame:
    columns = dict(zip(("n", "i", "s"), map(list, zip(*rows, strict=True)), strict=True))
    return pd.DataFrame({**columns, "y": [place % 2 for place in range(len(rows))]})


def as_csv(rows: Rows, delimiter: str = ",") -> bytes:
    return frame(rows).to_csv(index=False, sep=delimiter, quoting=csv.QUOTE_NONNUMERIC).encode()


def as_json_lines(rows: Rows) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in frame(rows).to_dict("records")).encode()


def as_parquet(rows: Rows) -> bytes:
    out = io.BytesIO()
    parquet.write_table(pa.Table.from_pandas(frame(rows)), out)
    return out.getvalue()


def as_arrow(rows: Rows) -> bytes:
    out = io.BytesIO()
    feather.write_feather(frame(rows), out, compression="lz4")
    return out.getvalue()


def as_records(rows: Rows) -> bytes:
    return b"".join(
        record(example(n=[row["n"]], i=row["i"], s=row["s"].encode(), y=row["y"]))
        for row in frame(rows).to_dict("records")
    )


def as_hdf5(rows: Rows) -> bytes:
    """A data set of named fields."""
    out = io.BytesIO()
    types = [("n", "f8"), ("i", "i8"), ("s", h5py.string_dtype()), ("y", "i8")]
    with h5py.File(out, "w") as file:
        file["table"] = np.array([tuple(row) for row in frame(rows).itertuples(index=False)], dtype=types)
    return out.getvalue()


FORMATS: Mapping[str, tuple[str, Callable[[Rows], bytes]]] = {
    "CSV": ("x.csv", as_csv),
    "JSON lines": ("x.jsonl", as_json_lines),
    "Parquet": ("x.parquet", as_parquet),
    "Arrow": ("x.feather", as_arrow),
    "TFRecord": ("x.tfrecord", as_records),
    "HDF5": ("x.h5", as_hdf5),
}


HANGING_SECONDS = 10
ENDS_ALSO = {
    # HDF5 1.14 does not come back from reading some damaged datasets
    "HDF5": -signal.SIGALRM,
}
ENDLESS = {"CSV", "JSON lines", "TFRecord"}


def read(name: str, content: bytes, **reference: Any) -> pd.DataFrame:
    """What a file of this content holds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        uri = {"uri": str(path)} | reference
        data = Data.model_validate({"train": uri, "validation": uri, "label": "y"})
        train, _ = open_splits(data, Roots((Path(folder),)))
        batches = [batch.features.assign(y=batch.labels) for batch in train.batches()]
    return pd.concat(batches, ignore_index=True)


def require_same(found: pd.DataFrame, rows: Rows, *, single: bool = False) -> None:
    wanted = frame(rows)
    numbers = np.array(wanted["n"], dtype=np.float32 if single else np.float64)
    np.testing.assert_array_equal(found["n"].to_numpy(dtype=np.float64), numbers.astype(np.float64))
    assert found["i"].tolist() == wanted["i"].tolist()
    assert found["s"].tolist() == wanted["s"].tolist()
    assert found["y"].tolist() == wanted["y"].tolist()


@pytest.mark.parametrize("name", FORMATS)
@given(rows=ROWS)
@FEW
def test_what_is_written_is_what_is_read(name: str, rows: Rows) -> None:
    file, write = FORMATS[name]
    single = name == "TFRecord"  # whose numbers are float32
    assume(not single or max(abs(row[0]) for row in rows) < 3e38)

    require_same(read(file, write(rows)), rows, single=single)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@given(rows=ROWS)
@FEW
def test_a_dialect_that_is_said_is_read(delimiter: str, rows: Rows) -> None:
    said = {"delimiter": delimiter, "header": True, "decimal": ".", "trim": False}

    require_same(read("x.csv", as_csv(rows, delimiter), csv=said), rows)


@pytest.mark.parametrize("name", FORMATS)
@given(rows=ROWS, data=st.data())
@FEW
def test_a_file_that_is_cut_off_is_read_or_said_to_be_so(name: str, rows: Rows, data: st.DataObject) -> None:
    file, write = FORMATS[name]
    whole = write(rows)
    length = data.draw(st.integers(0, len(whole) - 1))
    try:
        found = read(file, whole[:length])
    except ProblemError:
        return
    # what has no end of its own is read as far as it goes
    assert name in ENDLESS
    assert len(found) <= len(rows)


@pytest.mark.parametrize("name", FORMATS)
@given(rows=ROWS, data=st.data())
@FEW
def test_a_file_with_a_flipped_bit_is_read_or_refused(name: str, rows: Rows, data: st.DataObject) -> None:
    """Formats without checksums cannot tell; none may raise anything but a problem, crash or hang.

    One library does, which is one more reason why files are read in a process of their own, against the clock: see
    `ENDS_ALSO`.
    """
    file, write = FORMATS[name]
    content = bytearray(write(rows))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    def look() -> None:
        with suppress(ProblemError):
            read(file, bytes(content))

    assert exit_code(look) in {0, ENDS_ALSO.get(name)}


def exit_code(act: Callable[[], None]) -> int:
    """Of a process that does this, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            faulthandler.disable()
            signal.signal(signal.SIGALRM, signal.SIG_DFL)  # one of Python's waits for native code to return
            signal.alarm(HANGING_SECONDS)
            act()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
