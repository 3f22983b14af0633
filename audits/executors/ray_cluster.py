"""The pass over the splits on a Ray cluster: every worker opens the artefacts by itself and folds parts of a split.

Ray is an extra (`fitcheck[ray]`) and is imported where a request asks for it alone.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from audits.artefacts import Span, Split
from audits.evidence.collect import (
    SPANS_EACH,
    Plan,
    SpanQueue,
    batch_rows,
    collect,
    divided,
    first_batch,
    fold_span,
    plan_for,
)
from audits.evidence.features import take
from audits.evidence.fold import RawSplit, SplitFold
from audits.evidence.sample import sample_key
from audits.executors.ray_worker import Failure, Worker, threads_here
from audits.opened import Opened
from audits.opening import Safety
from audits.sources import Roots
from schemas.problem import EvaluatorError, ProblemError, RequestError
from schemas.request import AuditRequest

FIELD = "resources.engine"
MAX_WORKERS = 64
# How often a part is begun whose worker dies, before the audit is given up.
MAX_TRIES = 3
WAIT_SECONDS = 1.0
# How long nobody may come before the data are left to this machine: time to start, and to fetch and open a model.
START_SECONDS = 300.0

log = logging.getLogger(__name__)


def require_ray(address: str | None) -> Any:
    """The `ray` module.

    Raises:
        RequestError: `ray_missing`, `ray_not_configured`.
    """
    try:
        import ray  # noqa: PLC0415 - an extra
    except ImportError:
        raise RequestError(
            "ray_missing",
            "resources.engine asks for a Ray cluster, and Ray is not installed where audits run. Install "
            "fitcheck[ray] there, or leave resources.engine out: the audit then runs on one machine.",
            field=FIELD,
        ) from None
    if not address:
        raise RequestError(
            "ray_not_configured",
            "resources.engine asks for a Ray cluster, and none is configured. The operator names its address in "
            "FITCHECK_RAY_ADDRESS (host:port of the head, from a machine of the cluster, or ray://host:10001); or "
            "leave resources.engine out.",
            field=FIELD,
        )
    return ray


class RayExecutor:
    """Implements `audits.executors.Executor`.

    Args:
        ray: the module; see `require_ray`.
        address: of the cluster.
        opened: the artefacts, opened here.
        request: as submitted, for the workers.
        roots: from where they may read.
        safety: how far they trust the model.

    Raises:
        EvaluatorError: `ray_unreachable`.
    """

    def __init__(
        self, ray: Any, address: str, opened: Opened, request: AuditRequest, roots: Roots, safety: Safety
    ) -> None:
        self._ray = ray
        self._opened = opened
        self._told = (request.model_dump(mode="json"), replace(roots, scratch=None), safety, threads_here())
        self._device = request.resources.device
        self._workers: list[Any] = []
        self._is_ours = not ray.is_initialized()
        if self._is_ours:
            _connect(ray, address)

    def collect(
        self, split: Split, tensor: str | None, rng: np.random.Generator, on_rows: Callable[[int], None]
    ) -> RawSplit:
        wanted = min(self._free_places(), MAX_WORKERS)
        spans = divided(split.starts(batch_rows(split)), SPANS_EACH * wanted) if wanted else []
        if len(spans) < 2:  # or the cluster is full: what others have begun may take hours
            return collect(split, self._opened.answers_for(tensor), rng, on_rows)
        first = first_batch(split)
        self._opened.outputs(take(first.features, np.arange(1)))  # notes the names of classes that it repeats
        plan = plan_for(split, sample_key(rng), first)
        self._hire(min(wanted, len(spans)))
        return self._folded(split, tensor, plan, spans, on_rows).finish()

    def close(self) -> None:
        for worker in self._workers:
            self._ray.kill(worker)
        self._workers = []
        if self._is_ours:
            self._ray.shutdown()

    def _free_places(self) -> int:
        """Workers that the cluster has room for, those that we have among them."""
        free = self._ray.available_resources()
        named = "GPU" if self._device == "gpu" else "CPU"
        return len(self._workers) + int(free.get(named, 0))

    def _hire(self, wanted: int) -> None:
        options = {"num_cpus": 1, "num_gpus": 1 if self._device == "gpu" else 0, "scheduling_strategy": "SPREAD"}
        actor = self._ray.remote(**options)(Worker)
        self._workers += [actor.remote(*self._told) for _ in range(wanted - len(self._workers))]

    def _folded(
        self, split: Split, tensor: str | None, plan: Plan, spans: Sequence[Span], on_rows: Callable[[int], None]
    ) -> SplitFold:
        """The fold of all spans. A part whose worker dies is folded again by another: merging makes no difference."""
        queue, whole = SpanQueue(spans), plan.fold(split.name)
        tries = dict.fromkeys(range(len(spans)), 0)
        # A worker that is hired need not come: its place may have gone to others. It gets no part before it has.
        hired = {worker.ready.remote(): worker for worker in self._workers}
        idle: list[Any] = []
        running: dict[Any, tuple[Any, int, Span]] = {}
        deadline = time.monotonic() + START_SECONDS
        while running or (hired and queue.has_more()):
            if not running and time.monotonic() > deadline:
                self._dismiss([*hired.values()])
                break
            done, _ = self._ray.wait([*running, *hired], num_returns=1, timeout=WAIT_SECONDS)
            for reference in done:
                answer = self._answer(reference)
                if reference in hired:
                    worker = hired.pop(reference)
                    if answer is None:
                        self._lose(worker)
                    else:
                        idle.append(worker)
                    continue
                worker, place, span = running.pop(reference)
                if answer is None:
                    queue.give_back(place, span)
                    self._lose(worker, tries[place])
                    continue
                idle.append(worker)
                if isinstance(answer, Failure):
                    queue.fail(place, answer.as_error())
                else:
                    whole.merge(answer)
                    on_rows(whole.n)
            while idle and (taken := queue.take()) is not None:
                place, span = taken
                tries[place] += 1
                worker = idle.pop()
                running[worker.fold.remote(split.name, span, tensor, plan)] = (worker, place, span)
        self._fold_here(split, tensor, plan, queue, whole, on_rows)
        queue.require_no_failure()
        return whole

    def _fold_here(
        self,
        split: Split,
        tensor: str | None,
        plan: Plan,
        queue: SpanQueue,
        whole: SplitFold,
        on_rows: Callable[[int], None],
    ) -> None:
        """Fold what no worker came for."""
        for place, span in queue:
            fold = plan.fold(split.name)
            try:
                fold_span(split, span, self._opened.answers_for(tensor), fold, plan.rows, lambda _: None)
            except ProblemError as error:
                queue.fail(place, error)
            else:
                whole.merge(fold)
                on_rows(whole.n)

    def _answer(self, reference: Any) -> Any:
        """What a worker answers; None where it, or its machine, is gone."""
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayActorError as error:
            log.warning("a worker of the cluster was lost: %s", str(error).split("\n", maxsplit=1)[0])
            return None

    def _dismiss(self, workers: Sequence[Any]) -> None:
        """Wait no longer for workers that the cluster has no place for."""
        log.warning("%d workers of the cluster did not start within %.0f s", len(workers), START_SECONDS)
        for worker in workers:
            self._ray.kill(worker)
        self._workers = [worker for worker in self._workers if worker not in workers]

    def _lose(self, worker: Any, tries: int = 0) -> None:
        """Go on without a worker.

        Raises:
            EvaluatorError: `ray_worker_lost`, where no other is left or the part has cost several.
        """
        self._workers = [other for other in self._workers if other is not worker]
        if not self._workers or tries >= MAX_TRIES:
            raise EvaluatorError(
                "ray_worker_lost",
                f"Workers of the Ray cluster died over a part of the data ({tries} of them over the same part), most "
                "likely out of memory. Give them more memory, or audit fewer rows: resources.max_rows.",
                field=FIELD,
            )


def _connect(ray: Any, address: str) -> None:
    try:
        ray.init(address=address, namespace="fitcheck", log_to_driver=False, configure_logging=False)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise EvaluatorError(
            "ray_unreachable",
            f"The Ray cluster does not answer ({type(error).__name__}). The operator has to look at the address in "
            "FITCHECK_RAY_ADDRESS and at the cluster (`ray status`).",
            field=FIELD,
        ) from error
