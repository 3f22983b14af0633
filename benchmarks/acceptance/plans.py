"""Which audits are made: healthy ones over worlds, networks and rows, faulty ones over faults and their sizes."""

import zlib
from collections.abc import Iterator
from itertools import count

import numpy as np

from benchmarks.cases import Plan
from benchmarks.cases.faults import FAULTS, SIZES
from benchmarks.cases.making import NETWORKS
from benchmarks.cases.worlds import names, world

VALIDATION_ROWS = (50, 100, 200, 500, 1000, 2000, 5000)
LARGEST_SHARE = 0.45  # of a world's rows


def possible_rows(name: str) -> list[int]:
    """Sizes of validation sets that leave rows enough to train on."""
    return [n for n in VALIDATION_ROWS if n <= LARGEST_SHARE * len(world(name).frame) or n == VALIDATION_ROWS[0]]


def healthy(seed: int) -> Iterator[Plan]:
    """Every size of validation set equally often, over all worlds that have the rows and all networks."""
    rng = np.random.default_rng([seed, 1])
    for number in count():
        rows = VALIDATION_ROWS[number % len(VALIDATION_ROWS)]
        able = [name for name in names() if rows in possible_rows(name)]
        network = list(NETWORKS)[(number // len(VALIDATION_ROWS)) % len(NETWORKS)]
        yield Plan(number, str(rng.choice(able)), network, rows, _seed(seed, "healthy", number))


def faulty(seed: int) -> Iterator[Plan]:
    """Every fault equally often, its sizes in turn, each time with another world and size of validation set."""
    rng = np.random.default_rng([seed, 2])
    rounds: dict[str, int] = dict.fromkeys(FAULTS, 0)
    order: list[str] = []
    for number in count():
        if not order:
            order = [str(name) for name in rng.permutation(list(FAULTS))]
        name = order.pop()
        fault = FAULTS[name]
        place, rounds[name] = rounds[name], rounds[name] + 1
        size = SIZES[(place + zlib.crc32(name.encode())) % len(SIZES)]
        able = [other for other in names() if fault.suits(world(other))]
        rows = fault.n_validation.get(size) or int(rng.choice(VALIDATION_ROWS))
        chosen = str(rng.choice([w for w in able if rows in possible_rows(w) or fault.n_validation] or able))
        rows = rows if fault.n_validation else min(rows, max(possible_rows(chosen)))
        network = str(rng.choice(list(NETWORKS)))
        yield Plan(number, chosen, network, rows, _seed(seed, name, number), name, size)


def _seed(seed: int, name: str, number: int) -> int:
    return int(np.random.SeedSequence([seed, zlib.crc32(name.encode()), number]).generate_state(1)[0] % 2**31)
