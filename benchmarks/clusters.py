"""A Ray cluster of several nodes on this machine, for measurements and tests; on the loopback interface alone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# For 127.0.0.1, Ray's drivers put the address of another interface, where nobody listens.
LOOPBACK = "127.0.0.2"
OBJECT_STORE_BYTES = 100 * 2**20
# Ray waits half a minute for a node to start, which a busy machine may take longer for.
TRIES = 4
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # as it will be by default; else Ray warns
    "RAY_worker_niceness": "0",  # both ways to run that are compared get the same share of a busy machine
    "RAY_worker_register_timeout_seconds": "600",
    "RAY_health_check_failure_threshold": "100",
}


@contextmanager
def local_cluster(nodes: int, cpus: int = 1) -> Iterator[str]:
    """The address of a cluster whose nodes have so many cores each; its processes end with the context."""
    os.environ.update(ENVIRONMENT)
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - an extra, and after the environment is set

    cluster = Cluster()
    try:
        for _ in range(nodes):
            _add_node(cluster, cpus)
        cluster.wait_for_nodes()
        yield str(cluster.address)
    finally:
        cluster.shutdown()


def _add_node(cluster: Any, cpus: int) -> None:
    for left in reversed(range(TRIES)):
        try:
            cluster.add_node(
                num_cpus=cpus,
                num_gpus=0,
                object_store_memory=OBJECT_STORE_BYTES,
                node_ip_address=LOOPBACK,
                include_dashboard=False,
            )
        except Exception as error:  # of no class of its own
            if not left or "timed out during startup" not in str(error):
                raise
        else:
            return
