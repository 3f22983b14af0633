"""The service on a port of this machine, with jobs that the test moves on."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from service.access.store import Keys
from service.api.app import create_app
from service.jobs.database import connect, migrate
from service.settings import Settings
from service.uploads.store import Uploads
from tests.service.fakes import FakeJobs

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True)
class Live:
    """A service that runs.

    Attributes:
        url: its address.
        jobs: what it believes of the jobs.
        settings: those that it was started with.
        keys: those in its database.
    """

    url: str
    jobs: FakeJobs
    settings: Settings
    keys: Keys


@contextmanager
def running(folder: Path, **settings: object) -> Iterator[Live]:
    chosen = Settings(**{"data_roots": (EXAMPLES,), "state_dir": folder, "rate_limit": 0, **settings})
    engine = connect(chosen)
    migrate(chosen, engine)
    jobs, keys = FakeJobs(), Keys(engine)
    app = create_app(chosen, jobs, uploads=Uploads(chosen, engine), keys=keys)
    with _served(app) as url:
        yield Live(url, jobs, chosen, keys)
    engine.dispose()


@contextmanager
def _served(app: object) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    app.state.following.close()
    server.should_exit = True
    thread.join(20)
