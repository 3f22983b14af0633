"""What goes wrong, at random."""

import contextlib
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from random import Random

from benchmarks.soak.service import Service

WEIGHTS = {
    "slot": 5,
    "evaluator": 5,
    "pause": 3,
    "api": 2,
    "fork server": 1,
    "supervisor": 1,
    "database": 3,
    "disk": 1,
    "clock": 2,
    "outage": 0,
}
"""How often each happens, after each has happened once."""
OF_THE_MACHINE = {"database", "disk", "clock", "outage"}


class Faults(threading.Thread):
    """Does harm until told to stop: each kind once, in a random order, then by `WEIGHTS`.

    Args:
        service: whose processes are killed and stopped.
        others: what else can be done, by its name in `WEIGHTS`; returns when it is over.
        rng: chooses.
        pause_seconds: between two faults, half to one and a half of it.
        lease_seconds: a stopped slot stays so for longer than this.
    """

    def __init__(
        self,
        service: Service,
        others: dict[str, Callable[[], None]],
        rng: Random,
        *,
        pause_seconds: float,
        lease_seconds: float,
    ) -> None:
        super().__init__(daemon=True)
        self.done: Counter[str] = Counter()
        self.error: Exception | None = None
        self._service = service
        self._others = others
        self._rng = rng
        self._pause_seconds = pause_seconds
        self._lease_seconds = lease_seconds
        self._stopping = threading.Event()
        possible = [kind for kind in WEIGHTS if kind in others or kind not in OF_THE_MACHINE]
        self._first = rng.sample(possible, len(possible))
        self._weights = [WEIGHTS[kind] for kind in possible]
        self._possible = possible

    @property
    def missing(self) -> list[str]:
        """The kinds that have not happened."""
        return [kind for kind in self._possible if not self.done[kind]]

    def run(self) -> None:
        try:
            while not self._stopping.wait(self._rng.uniform(0.5, 1.5) * self._pause_seconds):
                self._service.tend()
                with contextlib.suppress(ProcessLookupError):  # the victim was gone already
                    self._next()
        except Exception as error:
            self.error = error

    def stop(self) -> None:
        self._stopping.set()
        self.join()
        self._service.tend()

    def _next(self) -> None:
        kind = self._first[0] if self._first else self._rng.choices(self._possible, self._weights)[0]
        if kind in self._others:
            self._others[kind]()
        elif not self._hit(kind):
            return
        self.done[kind] += 1
        if self._first:
            self._first.pop(0)

    def _hit(self, kind: str) -> bool:
        """Kill or stop one process; False where there is none."""
        victims = self._service.victims("slot" if kind == "pause" else kind)
        if not victims:
            return False
        victim = self._rng.choice(victims)
        if kind == "pause":
            os.kill(victim, signal.SIGSTOP)
            self._stopping.wait(self._rng.uniform(1.2, 2.0) * self._lease_seconds)
            os.kill(victim, signal.SIGCONT)
        else:
            os.kill(victim, signal.SIGKILL)
        return True
