"""A model whose batches do not fit into the memory of its device, by a fault that a fake of TensorFlow injects."""

from collections.abc import Mapping
from types import SimpleNamespace

import numpy as np
import pytest

from audits.models.runtime import LoadedModel, Refused, State

FIT = 10  # rows


class ExhaustedError(Exception):
    """As TensorFlow raises it where the allocator of a device finds no room."""


class Model(LoadedModel):
    """Doubles its input, so many rows at a time."""

    def __init__(self, fit: int, fixed_rows: int | None = None, error: type[Exception] = ExhaustedError) -> None:
        self._tf = SimpleNamespace(errors=SimpleNamespace(ResourceExhaustedError=ExhaustedError))
        self._job = SimpleNamespace(inputs=[SimpleNamespace(shape=(fixed_rows, 1))], parameters=1)
        self._state = State()
        self.device = "cpu"
        self._fit = fit
        self._error = error
        self.batches: list[int] = []

    def _run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        rows = len(batch["x"])
        self.batches.append(rows)
        if rows > self._fit:
            raise self._error
        return {"y": 2 * batch["x"]}


@pytest.mark.parametrize("error", [ExhaustedError, MemoryError])
def test_batches_are_halved_until_they_fit(error: type[Exception]) -> None:
    """Every row is answered once, in order; what was found to fit is kept to, not tried anew."""
    x = np.arange(1000.0)[:, None]
    model = Model(FIT, error=error)

    np.testing.assert_array_equal(model.predict({"x": x})["y"], 2 * x)

    tried = [rows for rows in model.batches if rows > FIT]
    assert tried == sorted(tried, reverse=True)
    assert len(tried) < 10
    assert max(model.batches[len(tried) :]) <= FIT


def test_what_fits_is_kept_to_and_told() -> None:
    """Not tried anew at each call: on a GPU, each failure takes seconds."""
    model = Model(FIT)
    assert model.usage() == {"device_memory_bytes": None, "rows_a_call": None}
    model.predict({"x": np.zeros((1000, 1))})
    model.batches.clear()
    model.predict({"x": np.zeros((1000, 1))})

    assert max(model.batches) <= FIT
    assert model.usage()["rows_a_call"] == model.batches[0]


def test_the_memory_of_the_device_is_told() -> None:
    model = Model(FIT)
    model.device = "gpu (a fake)"
    model._tf.config = SimpleNamespace(
        experimental=SimpleNamespace(get_memory_info=lambda name: {"current": 1, "peak": {"GPU:0": 5}[name]})
    )

    assert model.usage()["device_memory_bytes"] == 5


def test_one_row_that_does_not_fit_is_a_clear_failure() -> None:
    with pytest.raises(Refused) as refused:
        Model(0).predict({"x": np.zeros((1000, 1))})

    assert refused.value.code == "model_out_of_memory"


def test_a_batch_size_that_is_exported_cannot_be_halved() -> None:
    model = Model(FIT, fixed_rows=32)
    with pytest.raises(Refused) as refused:
        model.predict({"x": np.zeros((64, 1))})

    assert refused.value.code == "model_out_of_memory"
    assert model.batches == [32]
