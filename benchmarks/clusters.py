"""A Ray cluster of several nodes on this machine, for measurements and tests; on the loopback interface alone."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
MARK = "cluster-address"

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
    """The address of a cluster whose nodes have so many cores each; its processes end with the context.

    It is started by a process of its own: what is forked from one that Ray runs in cannot connect to a cluster.
    """
    command = [sys.executable, "-m", "benchmarks.clusters", str(nodes), str(cpus)]
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        address = next((line.split()[1] for line in process.stdout if line.startswith(MARK)), None)
        if address is None:
            raise RuntimeError("the cluster did not start")
        try:
            yield address
        finally:
            process.communicate()  # the end of its input is its end


def main() -> None:
    """Start a cluster, say its address, and stop it at the end of the input."""
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - an extra

    nodes, cpus = map(int, sys.argv[1:])
    cluster = Cluster()
    try:
        for _ in range(nodes):
            _add_node(cluster, cpus)
        cluster.wait_for_nodes()
        print(MARK, cluster.address, flush=True)
        sys.stdin.read()
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


if __name__ == "__main__":
    main()
