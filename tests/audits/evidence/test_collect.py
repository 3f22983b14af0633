"""One pass over a split: everything of every row, and a sample of bounded size."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from audits.artefacts import Span
from audits.evidence import collect as module
from audits.evidence import fold
from audits.evidence.collect import collect
from schemas.problem import DataError
from tests.factories import MemorySplit, Part, splits


def collected(part: Part, seed: int = 0, **told: object):
    def predict(rows):
        return np.asarray(rows["c0"] if isinstance(rows, pd.DataFrame) else rows[:, 0])

    return collect(
        MemorySplit("train", part), lambda rows: {"output": predict(rows)}, np.random.default_rng(seed), **told
    )


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_ROWS", 64)
    monkeypatch.setattr(module, "MAX_SAMPLE_BYTES", 0)
    monkeypatch.setattr(module, "MIN_SAMPLE_ROWS", 1000)


@pytest.mark.usefixtures("small_batches")
def test_keeps_the_label_the_answer_and_the_fingerprint_of_every_row():
    part, _ = splits(n_train=5000, groups=7)

    found = collected(part)

    np.testing.assert_array_equal(found.labels, part.y)
    np.testing.assert_array_equal(found.outputs["output"], part.x["c0"])
    np.testing.assert_array_equal(found.roles["group"], part.groups)
    assert len(found.fingerprints) == found.n == 5000


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("layout", ["table", "vector"])
def test_the_sample_holds_the_features_of_its_rows_in_file_order(layout: str):
    part, _ = splits(n_train=5000, layout=layout)

    found = collected(part)

    assert len(found.sample_index) == 1000
    assert (np.diff(found.sample_index) > 0).all()
    np.testing.assert_array_equal(Part(found.sample_rows, part.y).numbers, part.numbers[found.sample_index])


@pytest.mark.usefixtures("small_batches")
def test_the_sample_is_uniform():
    """A row of the last tenth is as likely to be in it as one of the first, over 20 samples."""
    part, _ = splits(n_train=4000, columns=1)

    tenths = sum(np.histogram(collected(part, seed).sample_index, bins=10, range=(0, 4000))[0] for seed in range(20))

    np.testing.assert_allclose(tenths, 2000, rtol=0.1)


@pytest.mark.usefixtures("small_batches")
def test_of_outputs_that_take_too_much_memory_the_widest_is_let_go(monkeypatch: pytest.MonkeyPatch):
    part, _ = splits(n_train=500)
    monkeypatch.setattr(fold, "MAX_OUTPUT_BYTES", 100_000)

    def predict(rows):
        return {"p": np.zeros((len(rows), 1)), "embedding": np.zeros((len(rows), 40))}

    found = collect(MemorySplit("train", part), predict, np.random.default_rng(0))
    alone = collect(
        MemorySplit("train", part), lambda rows: {"wide": np.zeros((len(rows), 99))}, np.random.default_rng(0)
    )

    assert {name: len(raw) for name, raw in found.outputs.items()} == {"p": 500}
    assert len(alone.outputs["wide"]) == 500


def test_a_small_split_is_its_own_sample():
    part, _ = splits(n_train=300)

    found = collected(part)

    np.testing.assert_array_equal(found.sample_index, np.arange(300))
    pd.testing.assert_frame_equal(found.sample_rows, part.x)


@pytest.mark.usefixtures("small_batches")
def test_tells_how_many_rows_are_done():
    told: list[int] = []

    collected(splits(n_train=150)[0], on_rows=told.append)

    assert told == [64, 128, 150]


def test_no_rows_are_a_problem_that_names_the_split():
    with pytest.raises(DataError) as refusal:
        collected(splits()[0].at(np.array([], dtype=int)))

    assert (refusal.value.code, refusal.value.field) == ("data_empty", "data.train.uri")


@pytest.mark.parametrize("weight", [-0.5, np.nan, np.inf])
def test_a_weight_that_counts_nothing_is_refused(weight: float):
    weights = np.ones(20_000)
    weights[12_345] = weight
    part, _ = splits(n_train=20_000, columns=1)

    class Weighted(MemorySplit):
        def batches(self, rows: int = 8192, span: Span | None = None):
            for batch in super().batches(rows, span):
                yield replace(batch, roles={"weight": weights[batch.first_row : batch.first_row + len(batch)]})

    with pytest.raises(DataError) as problem:
        collect(Weighted("train", part), lambda rows: np.zeros(len(rows)), np.random.default_rng(0))

    assert (problem.value.code, problem.value.row, problem.value.field) == ("weight_unusable", 12_345, "data.weight")
