"""From a model's address to a SavedModel that is described, through whatever holds it."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from audits.artefacts import ModelDescription
from audits.sources.graph.choice import Choice, choose_function, choose_meta_graph
from audits.sources.graph.files import require_no_escape
from audits.sources.graph.foreign_ops import require_known_ops
from audits.sources.graph.permitted import require_permitted
from audits.sources.graph.purpose import is_transform
from audits.sources.graph.reach import all_ops
from audits.sources.graph.saved_model import describe_model, parse
from audits.sources.model.archives import unpack
from audits.sources.model.containers import HDF5, Container, locate
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
    path: Path,
    *,
    signature: str | None,
    tags: Sequence[str] | None,
    export: Exporter,
    allowed_ops: frozenset[str] = frozenset(),
) -> Iterator[ModelDescription]:
    """Describe the model at an address; what was unpacked or exported for it is removed in the end.

    Args:
        path: of a SavedModel, a folder of versions, a whole model of Keras, or an archive of any of these.
        signature: as the request names it; None chooses.
        tags: likewise, of the meta graph.
        export: writes a SavedModel in the model's process, and says what it did.
        allowed_ops: that the operator allows beyond those that only compute.

    Raises:
        ModelError: see `locate`, `unpack`, `describe_model`; and what `export` raises.
    """
    scratch = Path(tempfile.mkdtemp(prefix="model-"))
    asked = _Asked(signature, tags, allowed_ops)
    try:
        try:
            description = _described(path, scratch, asked, export)
        except ModelError as problem:
            raise _without(scratch, path, problem) from None
        yield description
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def look_at_model(
    path: Path, *, signature: str | None, tags: Sequence[str] | None, allowed_ops: frozenset[str] = frozenset()
) -> ModelDescription | None:
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
    asked = _Asked(signature, tags, allowed_ops)
    return None if _function(found.path, asked)[0] is not None else asked.describe(found.path)


@dataclass(frozen=True)
class _Asked:
    """What the request and the operator say about the model."""

    signature: str | None
    tags: Sequence[str] | None
    allowed_ops: frozenset[str]

    def describe(self, folder: Path) -> ModelDescription:
        return describe_model(folder, signature=self.signature, tags=self.tags, allowed_ops=self.allowed_ops)


def _described(path: Path, scratch: Path, asked: _Asked, export: Exporter) -> ModelDescription:
    said: list[str] = []
    found = _unpacked(locate(path), scratch / "unpacked", said)
    if found.kind == "keras":
        _require_safe(found.path)
        said.append(export(Export(_named(found.path, scratch), scratch / "exported")))
        found = Container("saved_model", scratch / "exported")
    require_no_escape(found.path)
    chosen, order = _function(found.path, asked)
    if chosen is None or order is None:
        description = asked.describe(found.path)
        notes = dict(description.notes)
    else:
        done = export(replace(order, target=scratch / "with_signature"))
        description = describe_model(scratch / "with_signature", allowed_ops=asked.allowed_ops)
        notes = {**description.notes, "signature": f"the function {chosen.name!r} ({chosen.reason}); {done}"}
    if said:
        notes["container"] = "; ".join(said)
    return replace(description, notes=notes)


def _named(source: Path, scratch: Path) -> Path:
    """The model under a name by which Keras tells its format."""
    with source.open("rb") as file:
        is_hdf5 = file.read(len(HDF5)) == HDF5
    named = scratch / ("model.h5" if is_hdf5 else "model.keras")
    shutil.copyfile(source, named)  # no link: an evaluator that is locked in makes none
    return named


def _unpacked(container: Container, target: Path, said: list[str]) -> Container:
    """The container, or the one in it where it is an archive; archives in archives are not unpacked."""
    if container.note is not None:
        said.append(container.note)
    if container.kind != "archive":
        return container
    target.mkdir()
    unpack(container.path, target)
    said.append(f"unpacked from the archive {container.path.name}")
    inner = locate(target)
    if inner.note is not None:
        said.append(inner.note.replace(target.name, container.path.name))
    return inner


def _without(scratch: Path, path: Path, problem: ModelError) -> ModelError:
    """The problem in terms of the address: nobody but us knows the scratch folder."""

    def named(text: str) -> str:
        return text.replace(str(scratch / "unpacked"), path.name).replace(str(scratch), path.name)

    file = None if problem.file is None else named(problem.file)
    return ModelError(problem.code, named(problem.detail), field=problem.field, file=file, op=problem.op)


def _require_safe(path: Path) -> None:
    """HDF5 is parsed in the model's process alone, and its configuration looked at there."""
    with path.open("rb") as file:
        is_zip = file.read(2) == b"PK"
    if is_zip and is_keras_file(path):
        require_no_custom_code(path)


def _function(folder: Path, asked: _Asked) -> tuple[Choice | None, Export | None]:
    meta_graph, _ = choose_meta_graph(parse(folder), asked.tags, folder)
    require_permitted(meta_graph, asked.allowed_ops)
    chosen = choose_function(meta_graph, asked.signature)
    if chosen is None:
        return None, None
    if is_transform(chosen.name):
        raise _preprocessing(chosen.name)
    ops = all_ops(meta_graph.graph)
    require_known_ops(ops, frozenset())
    # where to write it is for the caller to say
    return chosen, Export(folder, folder, chosen.name, tuple(meta_graph.meta_info.tags), ops)


def _preprocessing(function: str) -> ModelError:
    return ModelError(
        "preprocessing_only",
        f"This graph prepares features and predicts nothing: its only function is {function!r}. It is the transform "
        "graph of another model; give the SavedModel that was trained on these features.",
        field="model.uri",
    )
