"""Writes a protobuf with the graph of every layer of Keras, for training and for inference.

Usage: python -m tests.zoo.make_layers FOLDER
"""

import functools
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

L = keras.layers
# Layers that hold others, or that are made by a function of the user's.
ABSTRACT = frozenset(
    {
        "Layer",
        "Wrapper",
        "RNN",
        "TorchModuleWrapper",
        "MaxNumBoundingBoxes",
        "InputLayer",
        "InputSpec",
        "Input",
        "TFSMLayer",
        "JaxLayer",
        "FlaxLayer",
    }
)
TEXTS = ["a b", "c d"]
IMAGES = ("Random", "Rand", "Auto", "Aug", "Mix", "Cut", "Eq", "Solar", "Contrast")


def vector(*shape: int) -> np.ndarray:
    return np.ones((1, *shape), np.float32)


def layers() -> Iterator[tuple[str, Callable[[], Any], list[Any]]]:
    """Name, how to make the layer, example inputs."""
    simple: dict[str, tuple[dict[str, Any], list[Any]]] = {
        "Dense": ({"units": 2}, [vector(3)]),
        "EinsumDense": ({"equation": "ab,bc->ac", "output_shape": 2}, [vector(3)]),
        "Embedding": ({"input_dim": 5, "output_dim": 2}, [np.ones((1, 3), np.int32)]),
        "ReversibleEmbedding": ({"input_dim": 5, "output_dim": 2}, [np.ones((1, 3), np.int32)]),
        "Activation": ({"activation": "gelu"}, [vector(3)]),
        "Masking": ({}, [vector(3, 2)]),
        "Lambda": ({"function": lambda x: x + 1}, [vector(3)]),
        "Identity": ({}, [vector(3)]),
        "MultiHeadAttention": ({"num_heads": 2, "key_dim": 2}, [vector(3, 4), vector(3, 4)]),
        "GroupQueryAttention": ({"head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 1}, [vector(3, 4)] * 2),
        "GroupedQueryAttention": ({"head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 1}, [vector(3, 4)] * 2),
        "Attention": ({}, [[vector(3, 4), vector(3, 4)]]),
        "AdditiveAttention": ({}, [[vector(3, 4), vector(3, 4)]]),
        "Reshape": ({"target_shape": (3, 1)}, [vector(3)]),
        "Permute": ({"dims": (2, 1)}, [vector(3, 2)]),
        "RepeatVector": ({"n": 2}, [vector(3)]),
        "Flatten": ({}, [vector(3, 2)]),
        "Cropping1D": ({}, [vector(6, 2)]),
        "Cropping2D": ({}, [vector(6, 6, 2)]),
        "Cropping3D": ({}, [vector(6, 6, 6, 2)]),
        "Dot": ({}, [[vector(3), vector(3)]]),
        "LSTM": ({"units": 2}, [vector(4, 3)]),
        "GRU": ({"units": 2}, [vector(4, 3)]),
        "SimpleRNN": ({"units": 2}, [vector(4, 3)]),
        "LSTMCell": ({"units": 2}, [vector(3), [vector(2), vector(2)]]),
        "GRUCell": ({"units": 2}, [vector(3), [vector(2)]]),
        "SimpleRNNCell": ({"units": 2}, [vector(3), [vector(2)]]),
        "StackedRNNCells": ({"cells": [L.LSTMCell(2)]}, [vector(3), [[vector(2), vector(2)]]]),
        "Bidirectional": ({"layer": L.LSTM(2)}, [vector(4, 3)]),
        "TimeDistributed": ({"layer": L.Dense(2)}, [vector(4, 3)]),
        "SpectralNormalization": ({"layer": L.Dense(2)}, [vector(3)]),
        "ConvLSTM1D": ({"filters": 2, "kernel_size": 2}, [vector(3, 6, 2)]),
        "ConvLSTM2D": ({"filters": 2, "kernel_size": 2}, [vector(3, 6, 6, 2)]),
        "ConvLSTM3D": ({"filters": 2, "kernel_size": 2}, [vector(3, 4, 4, 4, 2)]),
        "Normalization": ({"mean": [0.0], "variance": [1.0]}, [vector(1)]),
        "Discretization": ({"bin_boundaries": [0.0, 1.0]}, [vector(3)]),
        "CategoryEncoding": ({"num_tokens": 4}, [np.ones((1, 3), np.int32)]),
        "Hashing": ({"num_bins": 4}, [np.array([["a", "b"]])]),
        "HashedCrossing": ({"num_bins": 4}, [[np.array(["a"]), np.array(["b"])]]),
        "StringLookup": ({"vocabulary": ["a", "b"]}, [np.array([["a", "b"]])]),
        "IntegerLookup": ({"vocabulary": [1, 2]}, [np.array([[1, 2]])]),
        "TextVectorization": ({"vocabulary": ["a", "b"]}, [np.array(TEXTS)]),
        "Rescaling": ({"scale": 0.5}, [vector(3)]),
        "Resizing": ({"height": 4, "width": 4}, [vector(6, 6, 3)]),
        "CenterCrop": ({"height": 4, "width": 4}, [vector(6, 6, 3)]),
        "RandomCrop": ({"height": 4, "width": 4}, [vector(6, 6, 3)]),
        "MelSpectrogram": ({}, [vector(16_000)]),
        "STFTSpectrogram": ({}, [vector(16_000, 1)]),
        "Pipeline": ({"layers": [L.Rescaling(0.5)]}, [vector(3)]),
        "ActivityRegularization": ({}, [vector(3)]),
        "GroupNormalization": ({"groups": 1}, [vector(3)]),
        "RandomPosterization": ({"factor": 4}, [vector(8, 8, 3)]),
    }
    for merging in ("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract"):
        simple[merging] = ({}, [[vector(3), vector(3)]])
    for name in sorted(dir(L)):
        kind = getattr(L, name)
        if not isinstance(kind, type) or not issubclass(kind, L.Layer) or name in ABSTRACT:
            continue
        arguments, inputs = simple.get(name) or guessed(name)
        yield name, functools.partial(kind, **{**needed(kind), **arguments}), inputs


def needed(kind: type) -> dict[str, Any]:
    """Values for the parameters that have none."""
    known = {
        "rate": 0.1,
        "stddev": 0.1,
        "factor": 0.1,
        "size": 2,
        "height_factor": 0.1,
        "padding": 1,
        "axes": 1,
        "pool_size": 2,
        "width_factor": 0.1,
    }
    return {
        name: known[name]
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.default is inspect.Parameter.empty and name in known
    }


def guessed(name: str) -> tuple[dict[str, Any], list[Any]]:
    """By what the name says of the shape."""
    rank = next((n for n in (1, 2, 3) if name.endswith(f"{n}D") or f"{n}D" in name), None)
    if rank is None:
        return {}, [vector(8, 8, 3) if name.startswith(IMAGES) else vector(3)]
    if "Conv" in name:
        few = {"kernel_size": 2} if "Depthwise" in name else {"filters": 2, "kernel_size": 2}
        return few, [vector(*[6] * rank, 2)]
    if name.startswith("Adaptive"):
        return {"output_size": 2}, [vector(*[6] * rank, 2)]
    return {}, [vector(*[6] * rank, 2)]


def main(folder: Path) -> None:
    message = saved_model_pb2.SavedModel()
    library = message.meta_graphs.add().graph_def.library
    made: list[str] = []
    failed: dict[str, str] = {}
    for name, make, inputs in layers():
        try:
            layer = make()
            specs = tf.nest.map_structure(lambda a: tf.TensorSpec(a.shape, tf.as_dtype(a.dtype)), inputs)
            specs = tf.nest.map_structure(
                lambda s: tf.TensorSpec(s.shape, tf.string) if s.dtype == tf.string else s, specs
            )
            layer(*inputs)
            for training in (False, True):
                traced = tf.function(functools.partial(run, layer, training)).get_concrete_function(*specs)
                add(library, f"{name}_{training}", traced.graph.as_graph_def())
            made.append(name)
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {error}"[:200]
    folder.mkdir(exist_ok=True)
    (folder / "saved_model.pb").write_bytes(message.SerializeToString())
    (folder / "layers.json").write_text(json.dumps({"made": made, "failed": failed}))


def add(library: Any, name: str, graph: Any) -> None:
    """A traced layer and all that it calls, as functions of one graph."""
    known = {function.signature.name for function in library.function}
    library.function.extend(function for function in graph.library.function if function.signature.name not in known)
    function = library.function.add()
    function.signature.name = name
    function.node_def.extend(graph.node)


def run(layer: Any, training: bool, *given: Any) -> Any:
    try:
        return layer(*given, training=training)
    except TypeError:
        return layer(*given)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
