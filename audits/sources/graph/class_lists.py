"""Lists of texts that a model carries: names of classes stand among them, in the order of its outputs."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from audits.artefacts import Array, ClassList, Model, ModelDescription
from audits.sources.graph.dataflow import Dataflow
from audits.sources.graph.saved_model import meta_graph_of
from audits.sources.graph.values import GraphValues, constant
from schemas.problem import ModelError

log = logging.getLogger(__name__)

MAX_NAMES, MAX_LISTS = 100_000, 200
MAX_FILE_BYTES = 4 * 2**20
# Where exports put the names of the classes.
_FOLDERS = ("assets", "assets.extra")
_BESIDE = ("labels.txt", "classes.txt", "class_names.txt", "label_map.txt")
_STRING = 7
# Every graph names the keys of its checkpoint.
_KEYS_END = "_CHECKPOINTABLE_OBJECT_GRAPH"


def class_lists(description: ModelDescription) -> tuple[ClassList, ...]:
    """Every list of two or more distinct texts among the graph's constants and the model's files of lines."""
    folder = Path(description.path)
    found: dict[tuple[str, ...], ClassList] = {}
    try:
        for named in (*_of_files(folder), *_of_constants(meta_graph_of(description))):
            if len(named.names) > 1 and len(set(named.names)) == len(named.names):
                found.setdefault(named.names, named)
            if len(found) >= MAX_LISTS:
                break
    except (ModelError, OSError) as problem:
        log.info("the model's lists of names cannot be read: %s", problem)
    except Exception:
        log.exception("the model's lists of names cannot be read")
    return tuple(found.values())


def restored_lists(model: Model) -> tuple[ClassList, ...]:
    """The texts of each lookup table that is filled from the checkpoint, in the order of their numbers.

    Raises:
        EvaluatorError: the model's process died.
    """
    try:
        meta_graph = meta_graph_of(model.description)
        tables = GraphValues(Dataflow(meta_graph.graph), meta_graph.saver.restore_op)
        keys = [
            (tables.tables[name], tables.table_values[name]) for name in tables.tables if name in tables.table_values
        ]
        stored = model.variables([key for pair in keys for key in pair]) if keys else {}
    except (ModelError, OSError) as problem:
        log.info("the model's lookup tables cannot be read: %s", problem)
        return ()
    found = (_in_order(stored[key], stored[value]) for key, value in keys if key in stored and value in stored)
    return tuple(ClassList(names, "a lookup table of the model") for names in found if names is not None)


def _in_order(keys: Array, values: Array) -> tuple[str, ...] | None:
    """Texts in the order of the numbers that they are looked up for, or by; None where it is no list of names."""
    texts, places = (keys, values) if keys.dtype == object else (values, keys)
    if texts.dtype != object or places.dtype.kind not in "iu" or not 1 < len(texts) <= MAX_NAMES:
        return None
    names = tuple(_as_text(texts[place]) for place in np.argsort(places, kind="stable"))
    return names if len(set(names)) == len(names) else None


def _as_text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _of_files(folder: Path) -> Iterator[ClassList]:
    home = folder.resolve()
    files = [path for name in _FOLDERS for path in sorted((folder / name).glob("*"))]
    for path in [*files, *(folder / name for name in _BESIDE)]:
        usable = path.is_file() and path.resolve().is_relative_to(home) and path.stat().st_size <= MAX_FILE_BYTES
        if not usable:
            continue
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        if len(lines) <= MAX_NAMES:
            yield ClassList(tuple(lines), f"the model's file {path.name}")


def _of_constants(meta_graph: Any) -> Iterator[ClassList]:
    yield from _of_nodes(meta_graph.graph.nodes)
    for function in meta_graph.graph.library.functions:
        yield from _of_nodes(function.nodes)


def _of_nodes(nodes: Any) -> Iterator[ClassList]:
    for node in nodes:
        if node.op != "Const" or node.attributes["value"].constant.dtype != _STRING:
            continue
        texts = constant(node.attributes["value"])
        if texts is not None and texts.ndim == 1 and 1 < len(texts) <= MAX_NAMES:
            names = tuple(map(_as_text, texts))
            if names[-1] != _KEYS_END:
                yield ClassList(names, "a constant of the model's graph")
