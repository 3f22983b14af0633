"""Lists of texts that a model carries: names of classes stand among them, in the order of its outputs."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from audits.artefacts import ClassList, ModelDescription
from audits.sources.graph.saved_model import meta_graph_of
from audits.sources.graph.values import constant
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
            names = tuple(t.decode("utf-8", "replace") if isinstance(t, bytes) else str(t) for t in texts)
            if names[-1] != _KEYS_END:
                yield ClassList(names, "a constant of the model's graph")
