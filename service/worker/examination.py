"""Examines requests instead of evaluating them: what is wrong and can be seen without TensorFlow, seen in a cage.

The readers of models and data are native code, and what they parse is a client's. The API has them run here, in a
process for one request alone, so that a file which crashes, hangs or bloats its reader does so to nobody else.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path

from audits import preflight
from audits.isolation import Cage, enter, require_isolation
from audits.isolation.probing import IsolationUnavailable
from audits.sources import Roots
from audits.sources.uploads import ids_in
from schemas.isolation import Isolation
from schemas.job import Progress
from schemas.problem import DataError, ModelError, Problem, RequestError
from schemas.request import AuditRequest
from service.settings import Settings, get_settings
from service.worker.protocol import Examined

# Beyond the interpreter and its libraries: the largest graph that is read takes some hundred megabytes, heads of data
# files less. What needs more is left to the worker, which has more.
MEMORY_BYTES = 2 * 2**30
# Loaded by readers when they first need them.
_LATER = ("pyarrow.pandas_compat", "pyarrow.parquet", "h5py", "PIL.Image", "PIL.JpegImagePlugin", "PIL.PngImagePlugin")


def preload() -> None:
    """Load once what every examination would load anew."""
    for module in _LATER:
        import_module(module)


def evaluate(
    request: AuditRequest,
    *,
    audit_id: str,  # noqa: ARG001 - there is none yet
    roots: Sequence[Path],
    progress: Callable[[Progress], None],  # noqa: ARG001 - takes no time worth telling
) -> Examined:
    """What is wrong with the request, as far as it can be seen now.

    Raises:
        MemoryError: it takes more memory than an examination may.
    """
    settings = get_settings()
    isolation = _lock_in(request, roots, settings)
    try:
        require_isolation(isolation, settings.sandbox)
    except IsolationUnavailable:
        return Examined(isolation=isolation)  # which refuses it; nothing was looked at
    reach = Roots(tuple(roots), settings.remote, uploads=settings.uploads_dir, closed=settings.closed)
    return Examined(isolation=isolation, problem=_problem(request, reach, settings.allowed_ops))


def _lock_in(request: AuditRequest, roots: Sequence[Path], settings: Settings) -> Isolation:
    own = [settings.uploads_dir / id_ for id_ in ids_in(request.addresses)]
    # A stricter cage than the evaluator's, which starts the process of its model: nothing is started here.
    return enter(
        Cage(
            Path(tempfile.gettempdir()),
            (*roots, *own),
            profile="model",
            memory_bytes=MEMORY_BYTES,
            sandbox=settings.sandbox,
        )
    )


def _problem(request: AuditRequest, roots: Roots, allowed_ops: frozenset[str]) -> Problem | None:
    try:
        preflight.check(request, roots, allowed_ops)
    except (RequestError, ModelError, DataError) as error:
        if any(isinstance(cause, MemoryError) for cause in _causes(error)):
            # Readers take it for damage of the file; it may be our limit.
            raise MemoryError from error
        return error.problem
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause = error.__cause__ or error.__context__
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
