"""TensorBoard log folders: as Keras wrote one, byte by byte, damaged and hostile."""

import math
import os
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from audits.sources import read_history
from audits.sources.records.framing import crc32c, masked_crc
from schemas.problem import DataError

# Written by keras.callbacks.TensorBoard(histogram_freq=1, update_freq="batch"), with graphs and histograms in it.
KERAS_LOG = Path(__file__).parent / "keras_log"
FLOAT, DOUBLE, INT, LONG, BFLOAT16, HALF = 1, 2, 3, 9, 14, 19


def varint(number: int) -> bytes:
    number &= 2**64 - 1
    told = b""
    while number > 0x7F:
        told += bytes([number & 0x7F | 0x80])
        number >>= 7
    return told + bytes([number])


def field(number: int, value: bytes | int | float, *, double: bool = False) -> bytes:
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, float):
        return varint(number << 3 | (1 if double else 5)) + struct.pack("<d" if double else "<f", value)
    return varint(number << 3) + varint(value)


def simple(tag: str, value: float) -> bytes:
    return field(1, field(1, tag.encode()) + field(2, float(value)))


def tensor(tag: str, dtype: int, body: bytes, shape: bytes = b"") -> bytes:
    metadata = field(9, field(1, field(1, b"scalars")))
    return field(1, field(1, tag.encode()) + field(8, field(1, dtype) + field(2, shape) + body) + metadata)


def floats(tag: str, value: float) -> bytes:
    return tensor(tag, FLOAT, field(5, struct.pack("<f", value)))


def event(step: int, values: bytes, wall_time: float = 1.0e9) -> bytes:
    return field(1, float(wall_time), double=True) + field(2, step) + field(5, values)


def record(body: bytes) -> bytes:
    length = struct.pack("<Q", len(body))
    return length + struct.pack("<I", masked_crc(length)) + body + struct.pack("<I", masked_crc(body))


VERSION = record(field(1, 1.0e9, double=True) + field(3, b"brain.Event:2"))


def log(*events: bytes) -> bytes:
    return VERSION + b"".join(record(body) for body in events)


def losses(values: list[float], *, first: int = 0, tag: str = "epoch_loss", wall_time: float = 1.0e9) -> bytes:
    return log(*(event(first + i, floats(tag, value), wall_time + i) for i, value in enumerate(values)))


@pytest.fixture
def write(tmp_path: Path):
    def write(data: bytes, name: str = "train/events.out.tfevents.1.v2") -> Path:
        path = tmp_path / "run" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return tmp_path / "run"

    return write


def problem(path: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        read_history(path)
    assert caught.value.field == "history.uri"
    assert caught.value.file
    return caught.value


def test_what_keras_wrote_is_its_history():
    history = read_history(KERAS_LOG)

    assert set(history) == {"loss", "accuracy", "learning_rate", "val_loss", "val_accuracy"}
    assert history["loss"] == pytest.approx([0.76895559, 0.7658034, 0.76303023, 0.76055133])
    assert history["val_loss"] == pytest.approx([0.80056518, 0.79719138, 0.79417604, 0.79147619])
    assert history["val_accuracy"] == pytest.approx([1 / 3, 1 / 3, 11 / 30, 11 / 30])
    assert history["learning_rate"] == pytest.approx([9e-4, 8.1e-4, 7.29e-4, 6.561e-4])


def test_a_single_event_file():
    (path,) = (KERAS_LOG / "validation").iterdir()

    assert set(read_history(path)) == {"val_loss", "val_accuracy"}


def test_checksums_of_the_standard():
    """RFC 3720, appendix B.4."""
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (simple("epoch_loss", 0.5), 0.5),
        (simple("epoch_loss", 0.0), 0.0),
        (floats("epoch_loss", 0.5), 0.5),
        (tensor("epoch_loss", FLOAT, field(4, struct.pack("<f", 0.5))), 0.5),
        (tensor("epoch_loss", DOUBLE, field(6, struct.pack("<d", 0.5))), 0.5),
        (tensor("epoch_loss", DOUBLE, field(4, struct.pack("<d", -0.5))), -0.5),
        (tensor("epoch_loss", INT, field(7, varint(-3))), -3.0),
        (tensor("epoch_loss", LONG, field(10, varint(7))), 7.0),
        (tensor("epoch_loss", LONG, field(4, struct.pack("<q", -7))), -7.0),
        (tensor("epoch_loss", HALF, field(13, varint(0x3800))), 0.5),
        (tensor("epoch_loss", HALF, field(4, struct.pack("<H", 0x3800))), 0.5),
        (tensor("epoch_loss", BFLOAT16, field(13, varint(0x3F00))), 0.5),
        (tensor("epoch_loss", BFLOAT16, field(4, struct.pack("<H", 0x3F00))), 0.5),
        (tensor("epoch_loss", FLOAT, b""), 0.0),
        (tensor("epoch_loss", FLOAT, field(5, struct.pack("<f", 0.5)), field(2, field(1, 1))), 0.5),
    ],
)
def test_a_number_in_every_form(write, value: bytes, expected: float):
    assert read_history(write(log(event(0, value)))) == {"loss": [expected]}


@pytest.mark.parametrize(
    "value",
    [
        tensor("epoch_loss", FLOAT, field(4, bytes(8)), field(2, field(1, 2))),
        tensor("epoch_loss", FLOAT, field(4, bytes(8))),
        tensor("epoch_loss", FLOAT, field(5, bytes(8))),
        tensor("epoch_loss", 7, field(8, b"text")),
        field(1, field(1, b"epoch_loss")),
    ],
)
def test_what_is_no_number_is_passed_over(write, value: bytes):
    assert read_history(write(log(event(0, value), event(1, floats("epoch_loss", 2.0))))) == {"loss": [2.0]}


def test_a_diverged_run_keeps_its_epochs(write):
    loss = read_history(write(losses([1.0, math.nan, math.inf, 2.0])))["loss"]

    assert [math.isnan(value) for value in loss] == [False, True, True, False]


def test_training_and_validation_are_set_side_by_side(write):
    """Validation every second epoch; the log begins at step 5."""
    write(losses([3.0, 2.0, 1.0], first=5))
    folder = write(losses([4.0], first=6), "validation/events.out.tfevents.2.v2")

    history = read_history(folder)

    assert history["loss"] == [3.0, 2.0, 1.0]
    assert [None if math.isnan(v) else v for v in history["val_loss"]] == [None, 4.0, None]
    assert "the log begins at step 5" in history.notes


def test_batches_have_no_place_among_epochs(write):
    folder = write(
        log(
            event(1, floats("batch_loss", 9.0)),
            event(2, floats("batch_loss", 8.0)),
            event(0, floats("epoch_loss", 1.0)),
            event(0, floats("my_own", 1.0)),
        )
    )

    assert read_history(folder) == {"loss": [1.0]}


@pytest.mark.parametrize("tag", ["loss/val", "validation/loss", "test/Loss"])
def test_other_writers_names_are_understood(write, tag: str):
    values = log(event(0, simple("loss/train", 1.0)), event(0, simple(tag, 2.0)), event(0, simple("lr", 0.1)))

    history = read_history(write(values, "events.out.tfevents.1"))

    assert {name: value[0] for name, value in history.items()} == pytest.approx(
        {"loss": 1.0, "val_loss": 2.0, "lr": 0.1}
    )


def test_metrics_that_were_written_one_after_the_other(write):
    events = [event(i, floats(f"epoch_{name}", v)) for name, v in (("loss", 1.0), ("mae", 2.0)) for i in range(3)]

    assert read_history(write(log(*events))) == {"loss": [1.0] * 3, "mae": [2.0] * 3}


def test_a_killed_run_is_read_up_to_its_last_record(write):
    whole = losses([3.0, 2.0, 1.0])
    for cut in (1, 5, 20, len(record(event(2, floats("epoch_loss", 1.0)))) - 3):
        history = read_history(write(whole[:-cut]))

        assert history == {"loss": [3.0, 2.0]}
        assert "ends inside record 3" in history.notes[0]


def test_zeros_at_the_end_are_a_cut(write):
    assert read_history(write(losses([3.0, 2.0]) + bytes(4096))) == {"loss": [3.0, 2.0]}


def test_a_resumed_run_of_several_files(write):
    """Killed in epoch 3, begun again from the checkpoint of epoch 2."""
    write(losses([5.0, 4.0, 3.0, 9.0], wall_time=1e9), "train/events.out.tfevents.9.v2")
    write(losses([6.0, 5.0, 4.0, 9.5], wall_time=1e9 + 0.5), "validation/events.out.tfevents.9.v2")
    write(losses([2.5, 2.0], first=2, wall_time=2e9), "train/events.out.tfevents.2.v2")
    folder = write(losses([3.5, 3.0], first=2, wall_time=2e9 + 0.5), "validation/events.out.tfevents.2.v2")

    history = read_history(folder)

    assert history == {"loss": [5.0, 4.0, 2.5, 2.0], "val_loss": [6.0, 5.0, 3.5, 3.0]}
    assert any("resumed at epoch 2" in note for note in history.notes)


def test_of_two_runs_in_one_folder_the_last_counts(write):
    write(losses([5.0, 4.0, 3.0], wall_time=1e9), "train/events.out.tfevents.1.v2")
    folder = write(losses([5.125, 3.875], wall_time=2e9), "train/events.out.tfevents.2.v2")

    history = read_history(folder)

    assert history == {"loss": [5.125, 3.875]}
    assert any("earlier run" in note for note in history.notes)


def test_a_second_call_of_fit_goes_on(write):
    write(losses([5.0, 4.0, 3.0], wall_time=1e9), "train/events.out.tfevents.1.v2")
    folder = write(losses([2.875, 2.5], wall_time=2e9), "train/events.out.tfevents.2.v2")

    assert read_history(folder) == {"loss": [5.0, 4.0, 3.0, 2.875, 2.5]}


def test_several_runs_are_listed(tmp_path: Path):
    for name in ("lr_1", "lr_2"):
        shutil.copytree(KERAS_LOG, tmp_path / name)

    ambiguous = problem(tmp_path)

    assert ambiguous.code == "history_ambiguous"
    assert "2 runs: lr_1, lr_2" in ambiguous.detail
    assert read_history(tmp_path / "lr_2") == read_history(KERAS_LOG)


def test_one_run_below_the_folder_is_found(tmp_path: Path):
    shutil.copytree(KERAS_LOG, tmp_path / "logs" / "today")

    assert read_history(tmp_path) == read_history(KERAS_LOG)


@pytest.mark.parametrize("at", [0, 9, 14, -2])
def test_a_damaged_record_is_named(write, at: int):
    """A bit that turned in the length, its checksum, the bytes or theirs, with a sound record behind."""
    before, damaged = losses([3.0, 2.0]), bytearray(record(event(2, floats("epoch_loss", 1.0))))
    damaged[at] ^= 4

    told = problem(write(before + bytes(damaged) + record(event(3, floats("epoch_loss", 1.0)))))

    assert told.code == "history_malformed"
    assert told.row == 3
    assert "Record 3 of events.out.tfevents.1.v2 is damaged" in told.detail


@pytest.mark.parametrize(
    "data",
    [
        b"",
        VERSION,
        b"not an event file at all, only text of some length",
        record(b"\xff" * 30),
        log(event(0, floats("batch_loss", 1.0))),
    ],
)
def test_what_is_no_log(write, data: bytes):
    assert problem(write(data)).code == "history_malformed"


def test_a_length_that_lies(write):
    """It promises an exabyte, under a sound checksum: the file ends before, so nothing is allocated."""
    length = struct.pack("<Q", 2**60)
    lie = length + struct.pack("<I", masked_crc(length)) + b"x" * 100

    assert read_history(write(losses([1.0]) + lie)) == {"loss": [1.0]}


def test_records_too_large_for_numbers_are_not_read(write):
    picture = record(event(0, field(1, field(1, b"image") + field(4, bytes(200_000)))))

    assert read_history(write(VERSION + picture + losses([1.0])[len(VERSION) :])) == {"loss": [1.0]}


def test_more_records_than_the_budget(write, monkeypatch):
    monkeypatch.setattr("audits.sources.histories.event_file.Budget.__init__.__defaults__", (10,))

    assert "more than" in problem(write(log(*[event(i, floats("x", 1.0)) for i in range(20)]))).detail


@pytest.mark.parametrize(
    ("limit", "value"), [("MAX_BYTES", 10), ("MAX_FILES", 0), ("MAX_ENTRIES", 1), ("MAX_EPOCHS", 1)]
)
def test_logs_beyond_the_limits(write, monkeypatch, limit: str, value: int):
    monkeypatch.setattr(f"audits.sources.histories.tensorboard.{limit}", value)
    folder = write(losses([2.0, 1.0]))

    assert problem(folder).code == "history_malformed"


def test_names_beyond_the_limit_are_left_out(write, monkeypatch):
    monkeypatch.setattr("audits.sources.histories.tensorboard.MAX_TAGS", 1)
    values = floats("epoch_loss", 1.0) + floats("epoch_mae", 1.0) + floats("epoch_" + "x" * 300, 1.0)

    assert read_history(write(log(event(0, values)))) == {"loss": [1.0]}


def test_many_epochs_take_no_long_time(write):
    folder = write(losses([1.0] * 20_000))
    begun = time.monotonic()

    assert len(read_history(folder)["loss"]) == 20_000
    assert time.monotonic() - begun < 10


@pytest.mark.timeout(20)
def test_a_pipe_among_the_files_is_refused(write):
    folder = write(losses([1.0]))
    os.mkfifo(folder / "train" / "events.out.tfevents.2")

    assert problem(folder).code == "history_unreadable"


def test_links_that_lead_out_are_not_followed(write, tmp_path: Path):
    folder = write(losses([1.0]))
    outside = tmp_path / "elsewhere"
    shutil.copytree(KERAS_LOG, outside)
    (folder / "validation").symlink_to(outside / "validation")

    assert set(read_history(folder)) == {"loss"}


WRITER = """
import sys
import tensorflow as tf
from tensorflow.core.framework import summary_pb2
folder = sys.argv[1]
about = summary_pb2.SummaryMetadata(plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name="scalars"))
for part, factor in (("train", 1.0), ("validation", 2.0)):
    writer = tf.summary.create_file_writer(f"{folder}/new/{part}")
    with writer.as_default():
        for step in range(3):
            tf.summary.write("epoch_loss", tf.constant(factor * (3.0 - step)), step=step, metadata=about)
    writer.close()
with tf.Graph().as_default():
    writer = tf.compat.v1.summary.FileWriter(f"{folder}/old/train")
    for step in range(3):
        value = summary_pb2.Summary.Value(tag="epoch_loss", simple_value=3.0 - step)
        writer.add_summary(summary_pb2.Summary(value=[value]), step)
    writer.close()
"""


@pytest.mark.tensorflow
@pytest.mark.timeout(200)
def test_what_tensorflow_writes_is_read(tmp_path: Path):
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WRITER, str(tmp_path)],
        check=True,
        capture_output=True,
        timeout=180,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
    )

    assert read_history(tmp_path / "new") == {"loss": [3.0, 2.0, 1.0], "val_loss": [6.0, 4.0, 2.0]}
    assert read_history(tmp_path / "old") == {"loss": [3.0, 2.0, 1.0]}
