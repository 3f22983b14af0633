"""Locks a process in before it touches what a stranger made: files, network, processes, memory.

Linux alone, without a dependency and without privileges; what the kernel does not offer is left out and reported.
"""

from audits.isolation.cage import Cage, enter
from audits.isolation.probing import probe, require_isolation

__all__ = ["Cage", "enter", "probe", "require_isolation"]
