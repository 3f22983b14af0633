"""From a request to its artefacts, opened: here for the audit, and in every worker of a cluster for its parts."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

from audits.artefacts import Model, ModelDescription, ModelInternals, Split
from audits.evidence.binding import Binding, bind
from audits.evidence.features import FeatureSpace
from audits.evidence.internals import bound
from audits.evidence.meaning.heads import candidates
from audits.evidence.tables import TableGuard
from audits.models.conversation import Conversation
from audits.models.process import export_model, reserve_process, start_model
from audits.opened import Opened
from audits.sources import Roots, by_name, open_model, open_splits
from audits.sources.graph.internals import read_internals
from audits.sources.locations import resolve
from schemas.isolation import Sandbox
from schemas.request import AuditRequest


@dataclass(frozen=True)
class Safety:
    """How far a model is trusted.

    Attributes:
        sandbox: whether its process is locked in, and must be.
        allowed_ops: that it may hold beyond those that only compute.
    """

    sandbox: Sandbox = "auto"
    allowed_ops: frozenset[str] = frozenset()


def open_described(request: AuditRequest, roots: Roots, safety: Safety) -> AbstractContextManager[ModelDescription]:
    """The model as a SavedModel that is read but not run; what was unpacked for it goes when the context ends.

    Raises:
        RequestError, ModelError: see `audits.sources.open_model`.
    """
    timeout = request.resources.timeout_seconds
    return open_model(
        resolve(request.model.uri, roots, field="model.uri")[0],
        signature=request.model.signature,
        tags=request.model.tags,
        export=lambda order: export_model(order, timeout_seconds=timeout, sandbox=safety.sandbox),
        allowed_ops=safety.allowed_ops,
    )


def open_artefacts(
    request: AuditRequest,
    description: ModelDescription,
    roots: Roots,
    safety: Safety,
    before_start: Callable[[], None] = lambda: None,
) -> Opened:
    """Both splits, and the model in a process of its own, which whoever calls has to close.

    The process is forked before anything of the data is read: what is in our memory then is in that of the process.

    Args:
        request: what to audit.
        description: of its model.
        roots: where data may be read from.
        safety: how far the model is trusted.
        before_start: called before the model is started.

    Raises:
        ProblemError: the request, the model or the data cannot be audited; says what to do.
    """
    resources = request.resources
    with ExitStack() as started:
        reserved = started.enter_context(
            reserve_process(
                description,
                device=resources.device,
                timeout_seconds=resources.timeout_seconds,
                sandbox=safety.sandbox,
            )
        )
        train, validation = open_splits(request.data, roots, max_rows=resources.max_rows, model=description)
        request = request.model_copy(update={"data": by_name(request.data, train)})
        binding = bind(train, description)
        heads = candidates(description, request)
        before_start()
        model = start(request, description, binding, safety, reserved)
        started.callback(model.close)
        internals = _internals(model, binding, train)
        started.pop_all()  # from here on, the model is the caller's to close
    return Opened(request, model, internals, TableGuard(internals), binding, heads, train, validation)


def start(
    request: AuditRequest,
    description: ModelDescription,
    binding: Binding,
    safety: Safety,
    reserved: Conversation | None = None,
) -> Model:
    """A process of the model, or the one that is reserved for it, that is fed as the binding says."""
    return start_model(
        binding.bound(description),
        device=request.resources.device,
        timeout_seconds=request.resources.timeout_seconds,
        sandbox=safety.sandbox,
        reserved=reserved,
    )


def _internals(model: Model, binding: Binding, train: Split) -> ModelInternals | None:
    """What the model holds about its data; None where that cannot be read, which costs evidence and no audit."""
    found = read_internals(model)
    return None if found is None else bound(found, binding, FeatureSpace.of(train))
