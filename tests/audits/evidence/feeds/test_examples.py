"""Rows become the messages that the model's parsing op reads."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from audits.artefacts import Column, ColumnKind, ExampleFeature, TensorSpec
from audits.evidence.feeds.examples import ExampleFeed, feed_examples
from audits.sources.example_messages import example_class
from schemas.problem import ProblemError

SPEC = TensorSpec("examples", "string", (None,))


def feed(rows: pd.DataFrame, *features: ExampleFeature) -> ExampleFeed:
    kinds: dict[str, ColumnKind] = {"O": "string"}
    columns = [Column(str(name), kinds.get(dtype.kind, "number")) for name, dtype in rows.dtypes.items()]
    return feed_examples(columns, SPEC, features)


def sent(rows: pd.DataFrame, *features: ExampleFeature) -> list[dict[str, list[Any]]]:
    """Feature -> values, by row."""
    parsed = [example_class().FromString(message) for message in feed(rows, *features).array(rows)]
    return [
        {
            name: list(feature.bytes_list.value or feature.float_list.value or feature.int64_list.value)
            for name, feature in message.features.feature.items()
        }
        for message in parsed
    ]


def test_every_type_and_shape() -> None:
    rows = pd.DataFrame({"f": [0.5, 2], "i": [2**60, -1], "s": ["grün", None], "v_0": [1, 2], "v_1": [3, 4]}).astype(
        {"s": object}
    )
    features = [
        ExampleFeature("f", "float32", ()),
        ExampleFeature("i", "int64", (1,)),
        ExampleFeature("s", "string", ()),
        ExampleFeature("v", "float32", (2,)),
    ]

    assert sent(rows, *features) == [
        {"f": [0.5], "i": [2**60], "s": ["grün".encode()], "v": [1, 3]},
        {"f": [2], "i": [-1], "s": [b""], "v": [2, 4]},
    ]


@pytest.mark.parametrize("dtype", ["float32", "int64", "string"])
@pytest.mark.parametrize("options", [{"shape": None}, {"shape": (), "has_default": True}])
def test_holes_are_left_out_where_that_is_allowed(dtype: str, options: dict[str, Any]) -> None:
    values = ["a", None] if dtype == "string" else [1.0, np.nan]
    rows = pd.DataFrame({"x": np.array(values, dtype=object if dtype == "string" else float)})

    first, second = sent(rows, ExampleFeature("x", dtype, **options))
    assert first["x"] == ([b"a"] if dtype == "string" else [1])
    assert "x" not in second


def test_a_hole_stays_a_hole_where_the_feature_must_be_there() -> None:
    rows = pd.DataFrame({"x": [np.nan]})

    assert np.isnan(sent(rows, ExampleFeature("x", "float32", ()))[0]["x"][0])
    with pytest.raises(ProblemError) as caught:
        sent(rows, ExampleFeature("x", "int64", ()))
    assert (caught.value.code, caught.value.column) == ("missing_value_in_integer_input", "x")


def test_every_feature_without_a_column_is_named() -> None:
    rows = pd.DataFrame({"x": [1.0]})
    with pytest.raises(ProblemError) as caught:
        feed(
            rows, *(ExampleFeature(name, "float32", ()) for name in ("x", "y", "z")), ExampleFeature("w", "int64", None)
        )

    assert caught.value.code == "feature_missing"
    assert "'y', 'z', 'w'" in caught.value.detail


def test_features_that_may_lack_a_column() -> None:
    rows = pd.DataFrame({"x": [1.0]})
    features = [
        ExampleFeature("x", "float32", ()),
        ExampleFeature("label", "string", (2,), is_used=False),
        ExampleFeature("bonus", "float32", (), has_default=True),
    ]
    notes = {one.feature.name: one.note for one in feed(rows, *features).features}

    assert sent(rows, *features) == [{"x": [1.0], "label": [b"", b""]}]
    assert "does not follow" in (notes["label"] or "")
    assert "default" in (notes["bonus"] or "")


def test_text_for_a_feature_of_numbers_is_refused() -> None:
    with pytest.raises(ProblemError) as caught:
        feed(pd.DataFrame({"x": np.array(["a"], dtype=object)}), ExampleFeature("x", "float32", ()))

    assert caught.value.code == "text_in_numeric_column"


def test_a_type_that_no_message_has() -> None:
    with pytest.raises(ProblemError) as caught:
        feed(pd.DataFrame({"x": [1.0]}), ExampleFeature("x", "complex64", ()))

    assert caught.value.code == "inputs_unsupported"
