"""What a worker of a Ray cluster does: opens the model and the data by itself, and folds the parts that it is told.

It is told addresses, never data: rows are read where they are folded, and only the fold travels. The labels stay in
the worker; the model runs in a process of its own here, too, and is started before a label is read.
"""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from audits.artefacts import Span, SplitName
from audits.evidence.collect import Plan, fold_span
from audits.evidence.fold import SplitFold
from audits.opening import Safety, open_artefacts, open_described
from audits.sources import Roots
from audits.sources.remote import scratch
from schemas.problem import DataError, EvaluatorError, ModelError, ProblemError, RequestError
from schemas.request import AuditRequest

THREADS = "TF_NUM_INTRAOP_THREADS"
KINDS: Mapping[str, type[ProblemError]] = {
    kind.__name__: kind for kind in (RequestError, ModelError, DataError, EvaluatorError)
}


@dataclass(frozen=True)
class Failure:
    """A problem on its way from a worker: exceptions with named arguments do not survive pickling."""

    kind: str
    problem: dict[str, Any]

    @staticmethod
    def of(error: ProblemError) -> "Failure":
        return Failure(type(error).__name__, error.problem.model_dump())

    def as_error(self) -> ProblemError:
        said = {name: self.problem[name] for name in ("field", "file", "row", "column", "op")}
        return KINDS.get(self.kind, ProblemError)(self.problem["code"], self.problem["detail"], **said)


def threads_here() -> int:
    """That TensorFlow uses for one operation in the processes that are started here."""
    return int(os.environ.get(THREADS) or len(os.sched_getaffinity(0)))


class Worker:
    """One actor.

    Args:
        request: the audit request, as JSON values.
        roots: from where may be read.
        safety: how far the model is trusted.
        threads: of one operation of the model. TensorFlow adds up in another order with another number, so that
            answers would differ in the last digit from those that are given where the audit runs.
    """

    def __init__(self, request: dict[str, Any], roots: Roots, safety: Safety, threads: int) -> None:
        os.environ[THREADS] = str(threads)
        self._open = ExitStack()
        self._failure: Failure | None = None
        try:
            self._start(AuditRequest.model_validate(request), roots, safety)
        except ProblemError as error:
            self._failure = Failure.of(error)

    def _start(self, request: AuditRequest, roots: Roots, safety: Safety) -> None:
        staged = replace(roots, scratch=self._open.enter_context(scratch()))
        description = self._open.enter_context(open_described(request, staged, safety))
        self._opened = open_artefacts(request, description, staged, safety)
        self._open.callback(self._opened.model.close)

    def ready(self) -> bool:
        """Answered when it is: an actor for which there is no place answers nothing."""
        return True

    def fold(self, name: SplitName, span: Span, tensor: str | None, plan: Plan) -> SplitFold | Failure:
        """The fold of a span, or why there is none."""
        if self._failure is not None:
            return self._failure
        split = self._opened.train if name == "train" else self._opened.validation
        fold = plan.fold(name)
        try:
            fold_span(split, span, self._opened.answers_for(tensor), fold, plan.rows, lambda _: None)
        except ProblemError as error:
            return Failure.of(error)
        return fold

    def close(self) -> None:
        self._open.close()
