"""A Ray cluster of two nodes of one core each, on this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}
TESTS = str(Path(__file__).parent)


@contextmanager
def two_nodes(*folders: str, **environment: str) -> Iterator[Any]:
    """The cluster, and a connection to it.

    Args:
        folders: from which workers import, beside the tests.
        environment: more variables of theirs.
    """
    import ray
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([TESTS, *folders]))
        for name, value in {"RAY_USAGE_STATS_ENABLED": "0", **environment}.items():
            patch.setenv(name, value)
        made = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
        made.add_node(**NODE)
        ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
        yield made
        ray.shutdown()
        made.shutdown()
