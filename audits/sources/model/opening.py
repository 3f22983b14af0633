"""From a model's address to a SavedModel that is described, through whatever holds it."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from audits.artefacts import ModelDescription
from audits.sources.graph.choice import Choice, choose_function, choose_meta_graph
from audits.sources.graph.foreign_ops import require_known_ops
from audits.sources.graph.purpose import is_transform
from audits.sources.graph.reach import all_ops
from audits.sources.graph.saved_model import describe_model, parse, require_no_escape
from audits.sources.model.archives import unpack
from audits.sources.model.containers import Container, locate
from audits.sources.model.keras_config import is_keras_file, require_no_custom_code
from schemas.problem import ModelError


@dataclass(frozen=True)
class Export:
    """What is to be written as a SavedModel with one signature, by the model's process.

    Attributes:
        source: a whole model of Keras, or the folder of a SavedModel without signatures.
        target: folder to write.
        function: of the SavedModel.
        tags: of its meta graph.
        ops: of its graph and its functions -> a node of each.
    """

    source: Path
    target: Path
    function: str | None = None
    tags: tuple[str, ...] = ()
    ops: Mapping[str, str] = field(default_factory=dict)


Exporter = Callable[[Export], str]


@contextmanager
def open_model(
    path: Path, *, signature: str | None, tags: Sequence[str] | None, export: Exporter
) -> Iterator[ModelDescription]:
    """Describe the model at an address; what was unpacked or exported for it is removed in the end.

    Args:
        path: of a SavedModel, a folder of versions, a whole model of Keras, or an archive of any of these.
        signature: as the request names it; None chooses.
        tags: likewise, of the meta graph.
        export: writes a SavedModel in the model's process, and says what it did.

    Raises:
        ModelError: see `locate`, `unpack`, `describe_model`; and what `export` raises.
    """
    scratch = Path(tempfile.mkdtemp(prefix="model-"))
    try:
        said: list[str] = []
        found = _unpacked(locate(path), scratch / "unpacked", said)
        if found.kind == "keras":
            _require_safe(found.path)
            said.append(export(Export(found.path, scratch / "exported")))
            found = Container("saved_model", scratch / "exported")
        folder, reason = _with_signature(found.path, signature, tags, scratch / "exported", export)
        asked = signature if reason is None else None
        description = describe_model(folder, signature=asked, tags=tags if reason is None else None)
        if found.note is not None:
            said.append(found.note)
        notes = dict(description.notes)
        if said:
            notes["container"] = "; ".join(said)
        if reason is not None:
            notes["signature"] = reason
        yield replace(description, notes=notes)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def look_at_model(path: Path, *, signature: str | None, tags: Sequence[str] | None) -> ModelDescription | None:
    """Describe the model as far as that is possible without unpacking or running anything; None where it is not.

    Raises:
        ModelError: what can be seen to be wrong.
    """
    found = locate(path)
    if found.kind == "archive":
        return None
    if found.kind == "keras":
        _require_safe(found.path)
        return None
    require_no_escape(found.path)
    if _function(found.path, signature, tags)[0] is not None:
        return None
    return describe_model(found.path, signature=signature, tags=tags)


def _unpacked(container: Container, target: Path, said: list[str]) -> Container:
    if container.note is not None:
        said.append(container.note)
    if container.kind != "archive":
        return replace(container, note=None)
    target.mkdir()
    unpack(container.path, target)
    said.append(f"unpacked from the archive {container.path.name}")
    try:
        inner = locate(target)
    except ModelError as problem:
        # the user knows the archive, not our scratch folder
        detail = problem.detail.replace(str(target), container.path.name)
        raise ModelError(problem.code, detail, field=problem.field, file=str(container.path)) from None
    if inner.note is not None:
        said.append(inner.note.replace(target.name, container.path.name))
    return replace(inner, note=None)


def _require_safe(path: Path) -> None:
    """HDF5 is parsed in the model's process alone, and its configuration looked at there."""
    with path.open("rb") as file:
        is_zip = file.read(2) == b"PK"
    if is_zip and is_keras_file(path):
        require_no_custom_code(path)


def _function(folder: Path, signature: str | None, tags: Sequence[str] | None) -> tuple[Choice | None, Export | None]:
    meta_graph, _ = choose_meta_graph(parse(folder), tags, folder)
    chosen = choose_function(meta_graph, signature)
    if chosen is None:
        return None, None
    if is_transform(chosen.name):
        raise _preprocessing(chosen.name)
    ops = all_ops(meta_graph.graph)
    require_known_ops(ops, frozenset())
    return chosen, Export(folder, folder, chosen.name, tuple(meta_graph.meta_info.tags), ops)


def _with_signature(
    folder: Path, signature: str | None, tags: Sequence[str] | None, target: Path, export: Exporter
) -> tuple[Path, str | None]:
    """The folder, or another where the function to run was made a signature, and why."""
    require_no_escape(folder)
    chosen, order = _function(folder, signature, tags)
    if chosen is None or order is None:
        return folder, None
    done = export(replace(order, target=target))
    return target, f"the function {chosen.name!r} ({chosen.reason}); {done}"


def _preprocessing(function: str) -> ModelError:
    return ModelError(
        "preprocessing_only",
        f"This graph prepares features and predicts nothing: its only function is {function!r}. It is the transform "
        "graph of another model; give the SavedModel that was trained on these features.",
        field="model.uri",
    )
