"""What is wrong with a request and can be seen without TensorFlow, seen before the request is queued.

Reads the model's protobuf and the heads of the data files, with the functions that the engine uses, so that both
say the same.
"""

from dataclasses import replace
from pathlib import Path

from audits.evidence.binding import bind
from audits.evidence.meaning.heads import candidates
from audits.sources import Roots, look_at_model, open_splits, read_history
from audits.sources.locations import resolve
from audits.sources.remote import is_remote, require_allowed, scratch
from audits.sources.staging import remote_addresses
from schemas.limits import limits_for
from schemas.problem import RequestError
from schemas.request import AuditRequest

# Of many files, so many are looked at; the audit reads them all.
MAX_FILES = 8
HEAD_ROWS = 256


def check(request: AuditRequest, roots: Roots, allowed_ops: frozenset[str] = frozenset()) -> None:
    """Return if nothing is seen to be wrong.

    Raises:
        ProblemError: naming the request's field, and the file, row or column to blame.
    """
    limits_for(request.checks.limits)
    if _lies_elsewhere(request, roots):
        return  # fetched by the worker, which then sees what is wrong
    # Nothing is fetched: the scratch folder calls uploads by their addresses.
    with scratch() as place:
        _look(request, replace(roots, scratch=place), allowed_ops)


def _look(request: AuditRequest, roots: Roots, allowed_ops: frozenset[str]) -> None:
    path = _only(request.model.uri, roots, "model.uri")
    description = look_at_model(
        path, signature=request.model.signature, tags=request.model.tags, allowed_ops=allowed_ops
    )
    if description is not None:
        candidates(description, request)
    rows = min(HEAD_ROWS, request.resources.max_rows or HEAD_ROWS)
    splits = open_splits(request.data, roots, max_rows=rows, model=description, max_files=MAX_FILES)
    binding = None if description is None else bind(splits[0], description)
    for split in splits:
        for batch in split.batches(HEAD_ROWS):
            if binding is not None:
                binding.inputs(batch.features)
    if request.history is not None:
        read_history(_only(request.history.uri, roots, "history.uri"))


def model_bytes(request: AuditRequest, roots: Roots) -> int:
    """The size of the model's files; 0 where they must be fetched first.

    Raises:
        RequestError: the address cannot be resolved.
    """
    if is_remote(request.model.uri):
        return 0
    path = _only(request.model.uri, roots, "model.uri")
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _lies_elsewhere(request: AuditRequest, roots: Roots) -> bool:
    """Whether something must be fetched first; it must be allowed to be.

    Raises:
        RequestError: `uri_not_allowed`, `uri_scheme_forbidden` or `uri_malformed`.
        ModelError, DataError: as `resolve` does of what lies here.
    """
    remote = remote_addresses(request)
    for field, uri in remote:
        require_allowed(uri, roots.remote, field=field)
    here = [(field, uri) for field, uris in request.addresses.items() for uri in uris if not is_remote(uri)]
    for field, uri in here if remote else ():
        resolve(uri, roots, field=field)  # must be there, and below the roots
    return bool(remote)


def _only(uri: str, roots: Roots, field: str) -> Path:
    """The one file or folder that the address names."""
    found = resolve(uri, roots, field=field)
    if len(found) > 1:
        raise RequestError(
            "uri_ambiguous", f"{field} names {len(found)} files, among them {found[0]}: name one.", field=field
        )
    return found[0]
