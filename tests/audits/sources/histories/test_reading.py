"""Histories in the two forms that Keras writes."""

import json
import math
import os
from pathlib import Path

import pytest

from audits.sources import read_history
from schemas.problem import DataError


@pytest.fixture
def file(tmp_path: Path):
    def write(text: str | bytes) -> Path:
        path = tmp_path / "history"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def test_keras_history(file) -> None:
    history = read_history(file(json.dumps({"loss": [3, 2.5], "val_loss": [4, 5]})))

    assert history == {"loss": [3.0, 2.5], "val_loss": [4.0, 5.0]}
    assert all(isinstance(value, float) for values in history.values() for value in values)


def test_the_attributes_of_the_history_object(file) -> None:
    assert read_history(file('{"history": {"loss": [1]}, "epoch": [0]}')) == {"loss": [1.0]}


def test_epochs_without_a_value_keep_their_place(file) -> None:
    for text in (
        '{"loss": [1, NaN, Infinity, -Infinity, null, "nan"]}',
        "epoch,loss\n0,1\n1,nan\n2,inf\n3,\n4,NA\n5,None\n",
    ):
        loss = read_history(file(text))["loss"]

        assert loss[0] == 1.0
        assert len(loss) == 6
        assert all(math.isnan(value) for value in loss[1:])


def test_what_is_no_list_of_numbers_is_left_out(file) -> None:
    text = '{"loss": [1, 2], "per_class": [[1, 2], [3, 4]], "schedule": ["a", "b"], "none": [], "n": 3, "b": [true]}'

    assert read_history(file(text)) == {"loss": [1.0, 2.0]}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_logger(file, delimiter: str) -> None:
    text = "epoch,accuracy,loss,val_loss\n0,0.5,2.0,3.0\n1,0.75,1e-1,4\n".replace(",", delimiter)

    assert read_history(file(text)) == {"accuracy": [0.5, 0.75], "loss": [2.0, 0.1], "val_loss": [3.0, 4.0]}


def test_a_single_epoch(file) -> None:
    assert read_history(file("epoch,loss\n0,2\n")) == {"loss": [2.0]}


def test_short_rows_of_a_run_that_was_stopped(file) -> None:
    history = read_history(file("epoch,loss,val_loss\n0,2,3\n1,1\n"))

    assert history["loss"] == [2.0, 1.0]
    assert math.isnan(history["val_loss"][1])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1, 2]",
        "{}",
        '{"loss": 3}',
        "epoch,loss\n",
        "epoch\n0\n",
        b"\xff\xfe\x00",
        "[" * 100_000,
        "loss\nabc\n",
    ],
)
def test_what_is_no_history(file, text: str) -> None:
    with pytest.raises(DataError) as caught:
        read_history(file(text))

    assert caught.value.code == "history_malformed"
    assert caught.value.field == "history.uri"
    assert caught.value.file


def test_a_log_to_which_a_second_run_was_appended(file) -> None:
    """With `CSVLogger(append=True)`; the loss begins anew, so that the last run is the model's."""
    history = read_history(file("epoch,loss,val_loss\n0,2,3\n1,1,2\n2,0.5,1\n0,2.1,3.2\n1,0.9,1.8\n"))

    assert history == {"loss": [2.1, 0.9], "val_loss": [3.2, 1.8]}
    assert history.notes == ("3 epochs of an earlier run stand before the last one and are left out",)


def test_a_second_run_with_a_header_of_its_own(file) -> None:
    assert read_history(file("epoch,loss\n0,2\n1,1\nepoch,loss\n0,2.1\n1,0.9\n")) == {"loss": [2.1, 0.9]}


def test_a_log_whose_training_was_continued(file) -> None:
    """A second call of `fit` counts from 0 again, while the loss goes on where it was."""
    history = read_history(file("epoch,loss\n0,2\n1,1\n2,0.5\n0,0.4\n1,0.3\n"))

    assert history == {"loss": [2.0, 1.0, 0.5, 0.4, 0.3]}
    assert "continued" in history.notes[0]


def test_a_run_that_was_resumed_from_a_checkpoint(file) -> None:
    history = read_history(file("epoch,loss\n0,2\n1,1\n2,0.5\n3,9\n2,0.6\n3,0.4\n"))

    assert history == {"loss": [2.0, 1.0, 0.6, 0.4]}
    assert "resumed at epoch 2: 2 epochs were logged twice" in history.notes[0]


def test_columns_that_are_never_numbers_are_left_out(file) -> None:
    """CSVLogger writes the metric of each class as a list, and the name of a schedule as text."""
    text = 'epoch,f1,loss,schedule\n0,"[0.1, 0.2]",2,cosine\n1,"[0.3, 0.4]",1,cosine\n'

    assert read_history(file(text)) == {"loss": [2.0, 1.0]}


@pytest.mark.parametrize("last", ["1,0.4,", "1,0.4,NA", "1,0.4", "1,0.4,decay\n2,0.3,None"])
def test_a_column_of_text_may_have_cells_without_one(file, last: str) -> None:
    assert read_history(file(f"epoch,loss,phase\n0,.5,warmup\n{last}\n"))["loss"][:2] == [0.5, 0.4]


def test_a_metric_that_no_epoch_computed_keeps_its_place(file) -> None:
    history = read_history(file("epoch,loss,val_loss\n0,1,\n1,2,NA\n"))

    assert [math.isnan(value) for value in history["val_loss"]] == [True, True]


def test_decimal_commas_between_semicolons(file) -> None:
    assert read_history(file("epoch;loss\n0;2,5\n1;0,25\n")) == {"loss": [2.5, 0.25]}


@pytest.mark.parametrize("name", ["lr", "learning_rate"])
def test_learning_rates_are_a_metric_of_their_own(file, name: str) -> None:
    history = read_history(file(json.dumps({"loss": [2, 1], name: [1e-3, 5e-4]})))

    assert history[name] == [1e-3, 5e-4]


@pytest.mark.parametrize(
    "text",
    ["0.5", "np.float32(0.5)", "numpy.float64(0.5)", "array(0.5, dtype=float32)", "tf.Tensor(0.5, shape=(), dtype=x)"],
)
def test_numbers_as_numpy_and_tensorflow_print_them(file, text: str) -> None:
    assert read_history(file(json.dumps({"loss": [text, " 1 "]}))) == {"loss": [0.5, 1.0]}


def test_a_list_of_epochs(file) -> None:
    text = '[{"epoch": 0, "loss": 2, "lr": "x"}, {"epoch": 1, "loss": 1, "val_loss": 3}]'
    history = read_history(file(text))

    assert history["loss"] == [2.0, 1.0]
    assert math.isnan(history["val_loss"][0])
    assert set(history) == {"loss", "val_loss"}


def test_a_line_for_each_epoch(file) -> None:
    assert read_history(file('{"loss": 2}\n{"loss": 1}\n')) == {"loss": [2.0, 1.0]}


def test_a_frame_as_pandas_writes_it(file) -> None:
    assert read_history(file('{"loss": {"0": 2, "1": 1}}')) == {"loss": [2.0, 1.0]}


def test_an_epoch_that_is_no_number_is_named(file) -> None:
    with pytest.raises(DataError, match="'x' for 'epoch' in row 1") as caught:
        read_history(file("epoch,loss\n0,1\nx,2\n"))

    assert (caught.value.row, caught.value.column) == (1, "epoch")


def test_text_in_a_log_is_named(file) -> None:
    with pytest.raises(DataError, match="'abc' for 'loss' in row 1") as caught:
        read_history(file("epoch,loss\n0,1\n1,abc\n"))

    assert (caught.value.row, caught.value.column) == (1, "loss")


def test_an_empty_folder_and_a_huge_file(tmp_path: Path, file, monkeypatch) -> None:
    with pytest.raises(DataError, match="no TensorBoard event files") as caught:
        read_history(tmp_path)
    assert caught.value.code == "history_not_found"

    monkeypatch.setattr("audits.sources.histories.reading.MAX_BYTES", 10)
    with pytest.raises(DataError) as caught:
        read_history(file('{"loss": [1, 2, 3]}'))
    assert caught.value.code == "history_malformed"


@pytest.mark.timeout(20)
def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    """Opening one without a writer would hang for ever."""
    pipe = tmp_path / "history.json"
    os.mkfifo(pipe)

    with pytest.raises(DataError) as caught:
        read_history(pipe)

    assert caught.value.code == "history_unreadable"
