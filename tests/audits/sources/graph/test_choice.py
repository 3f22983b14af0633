"""Tags and signatures are chosen only where the choice is plain."""

from pathlib import Path
from typing import Any

import pytest

from audits.sources.graph.choice import choose_meta_graph, choose_signature, functions_of
from audits.sources.graph.messages import saved_model_class
from schemas.problem import ModelError

FOLDER = Path("model")
CLASSIFY, PREDICT = "tensorflow/serving/classify", "tensorflow/serving/predict"


def with_signatures(*names: str, inputs: bool = True, **methods: str) -> Any:
    meta_graph = saved_model_class()().meta_graphs.add()
    for name in names:
        signature = meta_graph.signatures[name]
        signature.method = methods.get(name, PREDICT)
        signature.outputs["y"].name = f"{name}:0"
        if inputs:
            signature.inputs["x"].name = "x:0"
    return meta_graph


def with_tags(*graphs: str) -> Any:
    saved_model = saved_model_class()()
    for tags in graphs:
        saved_model.meta_graphs.add().meta_info.tags.extend(tags.split())
    return saved_model


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["serving_default", "serve", "other"], "serving_default"),
        (["classification", "predict", "regression"], "predict"),
        (["transform_features", "score"], "score"),
        (["__saved_model_init_op", "score"], "score"),
    ],
)
def test_the_usual_signature(names: list[str], chosen: str) -> None:
    assert choose_signature(with_signatures(*names), None, FOLDER).name == chosen


def test_predict_comes_before_classification() -> None:
    meta_graph = with_signatures("serving_default", "predict", serving_default=CLASSIFY)
    choice = choose_signature(meta_graph, None, FOLDER)

    assert choice.name == "predict"
    assert choice.reason is not None
    assert choose_signature(meta_graph, "serving_default", FOLDER).name == "serving_default"


def test_classification_is_run_where_there_is_nothing_else() -> None:
    assert choose_signature(with_signatures("serving_default", serving_default=CLASSIFY), None, FOLDER).reason is None


def test_several_signatures_are_not_guessed_between() -> None:
    with pytest.raises(ModelError, match="'minus', 'plus'") as caught:
        choose_signature(with_signatures("plus", "minus"), None, FOLDER)

    assert caught.value.code == "signature_missing"


@pytest.mark.parametrize(
    ("graphs", "chosen"),
    [
        (["serve"], "serve"),
        (["train", "serve"], "serve"),
        (["serve gpu", "serve"], "serve"),
        (["train", "serve gpu"], "gpu serve"),
        (["train"], "train"),
        ([""], ""),
    ],
)
def test_the_graph_for_serving(graphs: list[str], chosen: str) -> None:
    found, reason = choose_meta_graph(with_tags(*graphs), None, FOLDER)

    assert sorted(found.meta_info.tags) == chosen.split()
    assert (reason is None) == (graphs == ["serve"])


@pytest.mark.parametrize("graphs", [["train", "eval"], ["serve gpu", "serve tpu"]])
def test_several_graphs_are_not_guessed_between(graphs: list[str]) -> None:
    with pytest.raises(ModelError) as caught:
        choose_meta_graph(with_tags(*graphs), None, FOLDER)

    assert (caught.value.code, caught.value.field) == ("tags_ambiguous", "model.tags")


def test_tags_that_are_named_must_be_there() -> None:
    with pytest.raises(ModelError) as caught:
        choose_meta_graph(with_tags("serve gpu"), ["serve"], FOLDER)

    assert caught.value.code == "tags_missing"


@pytest.mark.parametrize("node", [-(2**31), -5, 7, 2**31 - 1])
def test_children_that_do_not_exist_are_no_functions(node: int) -> None:
    meta_graph = saved_model_class()().meta_graphs.add()
    meta_graph.objects.nodes.add().children.add(node=node, name="f")

    assert functions_of(meta_graph) == []
