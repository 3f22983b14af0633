"""Code that is not Keras' own is found in a configuration, wherever it hides."""

from typing import Any

import pytest

from audits.sources.model import keras_config
from audits.sources.model.keras_config import custom_code
from schemas.problem import ModelError


def layer(kind: str, name: str, module: str | None = "keras.layers", **config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": kind, "config": {"name": name, **config}, "registered_name": None}


DENSE = layer("Dense", "score", kernel_initializer=layer("GlorotUniform", "i", "keras.initializers"))


@pytest.mark.parametrize(
    ("part", "found"),
    [
        (layer("Lambda", "doubling"), "doubling"),
        ({"class_name": "Lambda", "config": {"name": "old"}}, "old"),  # as HDF5 files of Keras 2 have it
        (layer("TimeDistributed", "outer", layer=layer("Lambda", "inner")), "inner"),
        (layer("Squash", "squash", "ours.layers"), "squash"),
        (layer("Dense", "d") | {"registered_name": "ours>Dense"}, "d"),
        (layer("Dense", "d", activation={"module": "builtins", "class_name": "function", "config": "swish2"}), "d"),
        (layer("Dense", "d", activation={"class_name": "__lambda__", "config": {"value": "4wEA"}}), "d"),
    ],
)
def test_custom_code_names_its_layer(part: dict[str, Any], found: str) -> None:
    code = custom_code(
        {"class_name": "Functional", "module": "keras", "config": {"name": "m", "layers": [DENSE, part]}}
    )

    assert code is not None
    assert code.layer == found


def test_layers_of_keras_are_fine() -> None:
    assert custom_code({"class_name": "Sequential", "module": "keras", "config": {"layers": [DENSE]}}) is None


def test_losses_are_not_loaded() -> None:
    loss = {"module": "builtins", "class_name": "function", "config": "our_loss"}

    assert custom_code({"config": {"layers": [DENSE]}, "compile_config": {"loss": loss}}) is None


def test_losses_of_models_in_it_are_loaded() -> None:
    """Keras compiles them, whether it compiles the whole or not."""
    inner = layer("Sequential", "inner", layers=[DENSE]) | {"compile_config": {"loss": layer("Lambda", "loss")}}

    assert custom_code({"class_name": "Sequential", "config": {"layers": [inner]}}) is not None


def test_what_is_not_looked_at_is_not_trusted(monkeypatch) -> None:
    monkeypatch.setattr(keras_config, "MAX_PARTS", 10)
    with pytest.raises(ModelError) as caught:
        custom_code({"config": {"padding": [0] * 10, "layers": [layer("Lambda", "l")]}})

    assert caught.value.code == "model_too_complex"
