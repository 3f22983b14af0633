"""What a fuzzer has found once, and sound files, are read or refused in our own words: see `python -m tests.fuzz`."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from audits.sources.graph.messages import saved_model_class
from tests.fuzz.messages import changed
from tests.fuzz.readers import READERS, Place
from tests.fuzz.seeds import SEEDS

FOUND = sorted((Path(__file__).parent / "found").glob("*/*"))
SECONDS = 20.0  # of the processor; they take hundredths of one


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    made = Place()
    yield made
    made.remove()


@contextmanager
def in_time() -> Iterator[None]:
    """End the process where native code never comes back: no exception would get through."""
    before = signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_was_found_is_mended(place: Place, path: Path) -> None:
    with in_time():
        READERS[path.parent.name](place, path.read_bytes())


@pytest.mark.parametrize("kind", SEEDS)
def test_the_files_that_a_fuzzer_begins_with(place: Place, kind: str) -> None:
    """Each is read, or is no finding."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for content in SEEDS[kind]():
        READERS[kind](place, content)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 2**20


def test_messages_stay_messages() -> None:
    (content, *_) = SEEDS["saved_model"]()
    made = [changed(content, saved_model_class(), seed) for seed in range(5)]

    assert None not in made
    assert len({content, *made}) > 3
    assert changed(b"\xff" * 20, saved_model_class(), 0) is None
