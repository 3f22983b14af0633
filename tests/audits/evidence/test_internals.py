"""The model's vocabularies, tables and statistics against rows."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from audits.artefacts import (
    BatchNorm,
    Column,
    Discretisation,
    Embedding,
    ModelDescription,
    ModelInternals,
    Normaliser,
    Place,
    TensorSpec,
    Vocabulary,
    WeightMatrix,
)
from audits.evidence.binding import bind
from audits.evidence.case import Case
from audits.evidence.features import FeatureSpace
from audits.evidence.internals import (
    bound,
    describe_internals,
    layer_scales,
    out_of_vocabulary,
    saturation,
)
from audits.evidence.tables import ids_out_of_range
from tests.factories import Part, case, case_of, fitted, request_for

COLOURS = Vocabulary("colours", ("red", "green"), 2, (Place("colour", None, "colour"),))


def with_column(name: str, values: list, internals: ModelInternals) -> Case:
    """Twenty rows with one further column."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=20), name: pd.Series(values, dtype=None)})
    part = Part(frame, (frame["x"] > 0).astype(int).to_numpy())
    return case_of(part, part, lambda m: np.full(len(m), 0.5), internals=internals, request=request_for(task="binary"))


def looked_up(values: list, vocabulary: Vocabulary = COLOURS) -> Case:
    return with_column("colour", values, ModelInternals(vocabularies=(vocabulary,)))


def test_unknown_and_respelled_values_are_counted():
    one = looked_up(["red"] * 10 + ["Green "] * 4 + ["blue"] * 5 + [None])

    (found,) = out_of_vocabulary(one, one.validation.sample)

    assert (found.column, found.n, found.unknown, found.respelled) == ("colour", 19, 9, 4)
    assert found.share == pytest.approx(9 / 19)
    assert found.examples == (("blue", 5), ("Green ", 4))
    assert found.rows.tolist() == [False] * 10 + [True] * 9 + [False]


def test_texts_are_split_and_lowered_as_the_model_does():
    words = Vocabulary("words", ("good", "bad"), 2, (Place("colour", None, "colour"),), is_split=True, is_lowered=True)
    one = looked_up(["Good, bad!"] * 19 + ["good thing"], words)

    (found,) = out_of_vocabulary(one, one.validation.sample)

    assert (found.n, found.unknown, found.examples) == (40, 1, (("thing", 1),))


def test_whole_numbers_are_looked_up_as_such():
    shops = Vocabulary("shops", (3, 5), 2, (Place("shop", None, "shop"),))
    one = with_column("shop", [3.0] * 18 + [4.0, np.nan], ModelInternals(vocabularies=(shops,)))

    (found,) = out_of_vocabulary(one, one.validation.sample)

    assert (found.n, found.unknown, found.examples) == (19, 1, (("4", 1),))


@pytest.mark.parametrize(
    "vocabulary",
    [replace(COLOURS, places=()), replace(COLOURS, places=(Place("z", None, "z"),)), replace(COLOURS, size=3)],
    ids=["no column", "another column", "read in part"],
)
def test_what_cannot_be_held_against_a_column_is_left_out(vocabulary: Vocabulary):
    one = looked_up(["blue"] * 20, vocabulary)

    assert out_of_vocabulary(one, one.validation.sample) == []


def test_ids_beyond_the_table_and_below_nought_have_no_row():
    table = Embedding("shops", 10, 4, (Place("shop", None, "shop"),))
    one = with_column("shop", [0, 9, 10, 11, -1] * 4, ModelInternals(embeddings=(table,)))

    (found,) = ids_out_of_range(one.internals, one.space, one.validation.sample.rows)

    assert (found.column, found.table_rows, found.lowest, found.highest) == ("shop", 10, -1, 11)
    assert found.share == pytest.approx(0.6)
    assert found.rows[:5].tolist() == [False, False, True, True, True]


def test_without_internals_nothing_is_found():
    one = case()

    assert out_of_vocabulary(one, one.mended) == ids_out_of_range(None, one.space, one.mended.rows) == []
    assert layer_scales(one, ("normalization",)) == {}
    assert describe_internals(None) is None


class OneSplit:
    """An opened split of which only the schema counts."""

    name, files, layout, row_shape = "train", (), "table", (3,)
    columns = tuple(Column(name, "number") for name in ("a", "b", "c"))


def described(*inputs: TensorSpec) -> ModelDescription:
    return ModelDescription("m", "s", ("s",), ("serve",), inputs, (TensorSpec("y", "float32", (None, 1)),), "2")


def scaler(*places: Place, kind: str = "normalization") -> Normaliser:
    return Normaliser("n", kind, tuple(float(i) for i in range(len(places))), (1.0,) * len(places), places)


def test_positions_of_a_matrix_are_its_columns():
    description = described(TensorSpec("x", "float32", (None, 3)))
    internals = ModelInternals(normalisers=(scaler(*(Place("x", i) for i in (2, 0))),))

    found = bound(internals, bind(OneSplit(), description), FeatureSpace.of(OneSplit()))

    assert [place.column for place in found.normalisers[0].places] == ["c", "a"]


def test_named_inputs_are_columns():
    description = described(*(TensorSpec(name, "float32", (None, 1)) for name in "cab"))
    internals = ModelInternals(normalisers=(scaler(Place("b"), Place("a")),))

    found = bound(internals, bind(OneSplit(), description), FeatureSpace.of(OneSplit()))

    assert [place.column for place in found.normalisers[0].places] == ["b", "a"]


def test_the_first_layer_that_takes_a_unit_counts():
    layers = (scaler(Place("x", 0, "c0"), Place("x", 1, "c1")), replace(scaler(Place("x", 1, "c1")), mean=(9.0,)))

    found = layer_scales(case(internals=ModelInternals(normalisers=layers)), ("normalization",))

    assert {unit: scale.mean for unit, scale in found.items()} == {0: 0.0, 1: 1.0}


def test_one_constant_of_a_rescaling_counts_for_all_units():
    layer = Normaliser("r", "rescaling", (0.0,), (255.0,), (Place("x"),))

    found = layer_scales(case(columns=3, internals=ModelInternals(normalisers=(layer,))), ("rescaling",))

    assert {unit: scale.sd for unit, scale in found.items()} == {0: 255.0, 1: 255.0, 2: 255.0}


def test_saturated_outputs_are_told_where_they_are_more_frequent():
    def loud(train, task):
        answer = fitted(train, task)
        return lambda m: np.where(np.abs(m).max(axis=1) > 1e6, 1.0, answer(m))

    quiet, spoilt = case(model=loud), case(model=loud, fault=lambda p, t, r: p.with_numbers(1e9 + p.numbers))

    assert saturation(quiet, quiet.train.sample, quiet.mended) == {}
    assert saturation(spoilt, spoilt.train.sample, spoilt.mended)["saturated_outputs"]["faulty"] == 1.0
    assert saturation(case("regression"), quiet.train.sample, quiet.mended) == {}


def test_the_description_is_plain_json():
    internals = ModelInternals(
        normalisers=(scaler(Place("x", 0, "c0"), Place("x", 1)),),
        batch_norms=(BatchNorm("b", (0.0,), (1.0,), first=True),),
        vocabularies=(replace(COLOURS, tokens=tuple("abcdefghijklmnop"), size=16),),
        embeddings=(Embedding("e", 10, 4, ()),),
        discretisations=(Discretisation("d", (1.0,), ()),),
        weights=(WeightMatrix("w", (3, 4), 1.5),),
        compute_types=("float32",),
    )

    told = json.loads(json.dumps(describe_internals(internals), allow_nan=False))

    assert told["normalisers"][0]["values"] == {"c0": {"mean": 0.0, "sd": 1.0}, "x[1]": {"mean": 1.0, "sd": 1.0}}
    assert told["vocabularies"][0]["size"] == 16
    assert len(told["vocabularies"][0]["first"]) == 10
    assert "supporting evidence" in told["weights_note"]
