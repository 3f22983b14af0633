"""What an API process does beside its requests: delivers webhooks, and prunes what has been kept long enough.

Several processes may do so: a webhook is claimed by one of them, and one at a time prunes.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from starlette.concurrency import run_in_threadpool

from service.api.webhooks import UndeliveredError, deliver
from service.jobs.callbacks import Delivery
from service.jobs.errors import DatabaseUnavailable
from service.jobs.interface import Upkeep
from service.settings import Settings

LOOK_SECONDS = 1.0
DELIVERIES = 16  # at a time
PRUNE_SECONDS = 600.0

log = structlog.get_logger(__name__)


@asynccontextmanager
async def background(upkeep: Upkeep, settings: Settings) -> AsyncIterator[None]:
    """Do it until left; what is under way then is done again by another process."""
    tasks = [asyncio.create_task(_prune_for_ever(upkeep))]
    if settings.callback_hosts or settings.callback_private_hosts:
        tasks.append(asyncio.create_task(_deliver_for_ever(upkeep, settings)))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _deliver_for_ever(upkeep: Upkeep, settings: Settings) -> None:
    while True:
        try:
            sent = await deliver_due(upkeep, settings)
        except DatabaseUnavailable:
            sent = 0
        except Exception:
            log.exception("callbacks_failed")
            sent = 0
        if not sent:
            await asyncio.sleep(_about(LOOK_SECONDS))


async def deliver_due(upkeep: Upkeep, settings: Settings) -> int:
    """Deliver what is due now; how many were tried."""
    due = await run_in_threadpool(upkeep.claim_callbacks, DELIVERIES)
    await asyncio.gather(*(_deliver(delivery, upkeep, settings) for delivery in due))
    return len(due)


async def _deliver(delivery: Delivery, upkeep: Upkeep, settings: Settings) -> None:
    error: str | None = None
    is_last = delivery.attempt >= settings.callback_attempts
    try:
        await deliver(delivery, settings)
    except UndeliveredError as reason:
        error = str(reason)
        is_last = is_last or reason.is_final
    except Exception:
        # Unsettled, it would be taken for lost, and tried for ever.
        log.exception("callback_crashed", audit=delivery.job.id)
        error = "The delivery failed by a fault of ours."
    log.info("callback_sent", audit=delivery.job.id, attempt=delivery.attempt, error=error)
    await run_in_threadpool(upkeep.settle_callback, delivery, error, is_last=is_last)


async def _prune_for_ever(upkeep: Upkeep) -> None:
    while True:
        await asyncio.sleep(_about(PRUNE_SECONDS))
        try:
            pruned = await run_in_threadpool(upkeep.prune)
            if pruned.jobs or pruned.reports or pruned.uploads:
                log.info("pruned", jobs=pruned.jobs, reports=pruned.reports, uploads=pruned.uploads)
        except DatabaseUnavailable:
            log.warning("database_unavailable")
        except Exception:
            log.exception("prune_failed")


def _about(seconds: float) -> float:
    """Several processes that were started together need not look together."""
    return random.uniform(0.75, 1.25) * seconds  # noqa: S311 - no secret
