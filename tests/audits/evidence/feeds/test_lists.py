"""Lists of differing length as the inputs of models that take them."""

import numpy as np
import pandas as pd

from audits.artefacts import Column, ExampleFeature, FixedInput, ModelDescription, TensorSpec
from audits.evidence.binding import bind
from audits.sources.example_messages import example_class

NAN = np.nan


class Table:
    """A split of the columns given."""

    name, layout, files = "train", "table", ("/x.parquet",)

    def __init__(self, *columns: Column) -> None:
        self.columns = columns
        self.row_shape = (len(columns),)


def described(*inputs: TensorSpec, fixed: tuple[FixedInput, ...] = (), **examples: tuple) -> ModelDescription:
    return ModelDescription("/m", "s", ("s",), ("serve",), inputs, (), "2.21.0", fixed=fixed, examples=examples)


def places(name: str, kind: str, width: int) -> list[Column]:
    return [Column(f"{name}[{place}]", kind, list_of=name) for place in range(width)]


def test_the_parts_of_a_ragged_input_take_the_list_of_its_name_alone():
    """The second place of the list, tags[1], is spelled like the input's row splits, tags_1."""
    specs = [TensorSpec(name, "int64", (None,)) for name in ("tags", "tags_1")]
    binding = bind(
        Table(Column("a", "number"), Column("other", "number"), *places("tags", "number", 2)),
        described(TensorSpec("a", "float32", (None, 1)), *specs),
    )
    rows = pd.DataFrame({"a": [1.0, 2.0], "other": [7.0, 7.0], "tags[0]": [3.0, NAN], "tags[1]": [4.0, NAN]})
    by_input = binding.inputs(rows)

    assert {feed.spec.name: feed.columns for feed in binding.feeds} == {"a": ("a",), "tags": ("tags[0]", "tags[1]")}
    np.testing.assert_array_equal(by_input["tags"], [[3, 4], [NAN, NAN]])
    assert binding.unused_columns == ("other",)


def test_features_of_any_number_of_values_have_no_holes():
    features = (ExampleFeature("tags", "string", None), ExampleFeature("ids", "int64", None))
    binding = bind(
        Table(*places("tags", "string", 2), *places("ids", "number", 2)),
        described(TensorSpec("examples", "string", (None,)), examples=features),
    )
    columns = {"tags[0]": ["x", None], "tags[1]": ["y", None], "ids[0]": [0.0, 5.0], "ids[1]": [NAN, 6.0]}
    rows = pd.DataFrame({name: pd.Series(v, dtype=object if "tags" in name else float) for name, v in columns.items()})
    messages = [example_class().FromString(raw) for raw in binding.inputs(rows)["examples"]]

    assert [list(m.features.feature["tags"].bytes_list.value) for m in messages] == [[b"x", b"y"], []]
    assert [list(m.features.feature["ids"].int64_list.value) for m in messages] == [[0], [5, 6]]
