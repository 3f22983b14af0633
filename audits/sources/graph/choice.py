"""Which meta graph and which signature of a SavedModel are run, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audits.naming import listed
from audits.sources.graph.purpose import is_transform
from schemas.problem import ModelError

DEFAULT_TAGS = frozenset({"serve"})
DEFAULT_SIGNATURE, PREDICT_SIGNATURE = "serving_default", "predict"
CLASSIFY_METHOD = "tensorflow/serving/classify"
# TensorFlow's own bookkeeping, which it stores beside the user's signatures.
_INTERNAL = "__saved_model"
# Functions of an object without signatures, in the order in which one of them is taken for the model's own.
_USUAL_FUNCTIONS = ("__call__", "serving_default", "serve", "predict", "call", "infer", "inference", "forward", "score")


@dataclass(frozen=True)
class Choice:
    """What was chosen; the reason is None where the request named it or there was nothing else to choose."""

    name: str
    reason: str | None = None


def choose_meta_graph(saved_model: Any, tags: Sequence[str] | None, folder: Path) -> tuple[Any, str | None]:
    """The meta graph with these tags, and why that one.

    Without tags: the one for `serve`, else the only one.

    Raises:
        ModelError: `tags_missing`, or `tags_ambiguous` where there are several and none is named; lists them.
    """
    graphs = list(saved_model.meta_graphs)
    wanted = frozenset(tags) if tags is not None else DEFAULT_TAGS
    exact = [graph for graph in graphs if frozenset(graph.meta_info.tags) == wanted]
    there = [_shown(graph) for graph in graphs]
    if exact:
        return exact[0], f"serve, of {listed(there)}" if tags is None and len(graphs) > 1 else None
    if tags is not None:
        raise ModelError(
            "tags_missing",
            f"The model has no graph with the tags {' + '.join(sorted(wanted))}; it has {listed(there)}. "
            "Name those in model.tags.",
            field="model.tags",
            file=str(folder),
        )
    if len(graphs) == 1:
        return graphs[0], f"the only graph, {there[0]}; model.tags names none"
    serving = [graph for graph in graphs if frozenset(graph.meta_info.tags) > DEFAULT_TAGS]
    if len(serving) == 1:
        return serving[0], f"the only graph for serving, with the tags {_shown(serving[0])}, of {listed(there)}"
    raise ModelError(
        "tags_ambiguous",
        f"The model has {len(graphs)} graphs and none with the tag serve alone: {listed(there)}. Name the tags of one "
        "in model.tags.",
        field="model.tags",
        file=str(folder),
    )


def signature_names(meta_graph: Any) -> list[str]:
    return sorted(name for name in meta_graph.signatures if not name.startswith(_INTERNAL))


def choose_signature(meta_graph: Any, requested: str | None, folder: Path) -> Choice:
    """The signature to run.

    Raises:
        ModelError: `signature_missing`, listing what there is.
    """
    names = signature_names(meta_graph)
    usable = [name for name in names if meta_graph.signatures[name].outputs]
    if requested is not None:
        if requested in usable:
            return Choice(requested)
        raise _missing(requested, names, functions_of(meta_graph), folder)
    predicting = [name for name in usable if not is_transform(name)]
    with_inputs = [name for name in predicting if meta_graph.signatures[name].inputs]
    for candidates in (predicting, with_inputs):
        if DEFAULT_SIGNATURE in candidates:
            return _default_or_predict(meta_graph, candidates)
        if len(candidates) == 1:
            only = "the only signature" if len(names) == 1 else f"the only one of {listed(names)} that answers to rows"
            return Choice(candidates[0], only)
        if PREDICT_SIGNATURE in candidates:
            return Choice(PREDICT_SIGNATURE, f"of {listed(names)}, the one that answers with the model's own numbers")
    if with_inputs and _are_all_alike(meta_graph, with_inputs):
        return Choice(with_inputs[0], f"{listed(with_inputs)} are one and the same")
    if not predicting and usable:
        return Choice(usable[0])
    raise _missing(None, names, functions_of(meta_graph), folder)


def functions_of(meta_graph: Any) -> list[str]:
    """Functions that hang on the saved object and were traced, for models that were saved without a signature."""
    nodes = meta_graph.objects.nodes
    if not nodes:
        return []
    named = {
        child.name: nodes[child.node]
        for child in nodes[0].children
        if 0 <= child.node < len(nodes) and (not child.name.startswith("_") or child.name == "__call__")
    }
    return sorted(name for name, node in named.items() if node.function.concrete or node.concrete.name)


def choose_function(meta_graph: Any, requested: str | None) -> Choice | None:
    """The function to run where there is no such signature; None where no function is named so, or stands out."""
    functions = functions_of(meta_graph)
    if requested is not None:
        is_function = requested in functions and requested not in meta_graph.signatures
        return Choice(requested, "a function of the saved object, not a signature") if is_function else None
    if signature_names(meta_graph):
        return None
    usual = [name for name in _USUAL_FUNCTIONS if name in functions]
    if len(functions) == 1:
        return Choice(functions[0], "the model has no signature, and this is its only function")
    return Choice(usual[0], f"the model has no signature; of its functions {listed(functions)}") if usual else None


def _default_or_predict(meta_graph: Any, candidates: Sequence[str]) -> Choice:
    """An estimator's default signature answers with names of classes; `predict` has the probabilities as well."""
    if meta_graph.signatures[DEFAULT_SIGNATURE].method == CLASSIFY_METHOD and PREDICT_SIGNATURE in candidates:
        return Choice(
            PREDICT_SIGNATURE,
            f"{DEFAULT_SIGNATURE} answers to classification requests, {PREDICT_SIGNATURE} with the model's own numbers",
        )
    return Choice(DEFAULT_SIGNATURE, f"the default, of {listed(candidates)}" if len(candidates) > 1 else None)


def _are_all_alike(meta_graph: Any, names: Sequence[str]) -> bool:
    """Whether all signatures read and answer with the same tensors."""
    tensors = [
        (
            {key: tensor.name for key, tensor in meta_graph.signatures[name].inputs.items()},
            {key: tensor.name for key, tensor in meta_graph.signatures[name].outputs.items()},
        )
        for name in names
    ]
    return all(one == tensors[0] for one in tensors)


def _missing(requested: str | None, names: Sequence[str], functions: Sequence[str], folder: Path) -> ModelError:
    if requested in names:
        why = f"The signature {requested!r} has no outputs. Name another in model.signature; there is {listed(names)}."
    elif requested is not None:
        why = f"The model has no signature {requested!r}; it has {listed(names) or 'none'}."
        why += f" Of functions there is {listed(functions)}." if functions else ""
    elif names:
        why = f"The model has several signatures: {listed(names)}. Name one in model.signature."
    elif functions:
        why = f"The model has no signature, but several functions: {listed(functions)}. Name one in model.signature."
    else:
        why = (
            "The model has no signature and no traced function, so it cannot be called. Export it with "
            "model.export(folder), or pass signatures= to tf.saved_model.save."
        )
    return ModelError("signature_missing", why, field="model.signature", file=str(folder))


def _shown(meta_graph: Any) -> str:
    return " + ".join(sorted(meta_graph.meta_info.tags)) or "without tags"
