"""The pass over the splits on a Ray cluster: every worker opens the artefacts by itself and folds parts of a split.

Ray is an extra (`fitcheck[ray]`) and is imported where a request asks for it alone.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from audits.artefacts import Span, Split
from audits.evidence.collect import SPANS_EACH, Plan, SpanQueue, batch_rows, collect, divided, first_batch, plan_for
from audits.evidence.features import take
from audits.evidence.fold import RawSplit, SplitFold
from audits.evidence.sample import sample_key
from audits.executors.ray_worker import Failure, Worker, threads_here
from audits.opened import Opened
from audits.opening import Safety
from audits.sources import Roots
from schemas.problem import EvaluatorError, RequestError
from schemas.request import AuditRequest

FIELD = "resources.engine"
MAX_WORKERS = 64
# How often a part is begun whose worker dies, before the audit is given up.
MAX_TRIES = 3
WAIT_SECONDS = 1.0

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
        running: dict[Any, tuple[Any, int, Span]] = {}

        def give(worker: Any, taken: tuple[int, Span] | None) -> None:
            if taken is not None:
                place, span = taken
                tries[place] += 1
                running[worker.fold.remote(split.name, span, tensor, plan)] = (worker, place, span)

        for worker in self._workers:
            give(worker, queue.take())
        while running:
            done, _ = self._ray.wait(list(running), num_returns=1, timeout=WAIT_SECONDS)
            for reference in done:
                worker, place, span = running.pop(reference)
                answer = self._answer(reference)
                if isinstance(answer, SplitFold):
                    whole.merge(answer)
                    on_rows(whole.n)
                elif isinstance(answer, Failure):
                    queue.fail(place, answer.as_error())
                else:
                    self._lose(worker, tries[place])
                    give(self._workers[place % len(self._workers)], (place, span))
                    continue
                give(worker, queue.take())
        queue.require_no_failure()
        return whole

    def _answer(self, reference: Any) -> SplitFold | Failure | None:
        """None where the worker, or its machine, is gone."""
        try:
            answer: SplitFold | Failure = self._ray.get(reference)
        except self._ray.exceptions.RayActorError as error:
            log.warning("a worker of the cluster was lost: %s", str(error).split("\n", maxsplit=1)[0])
            return None
        return answer

    def _lose(self, worker: Any, tries: int) -> None:
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
