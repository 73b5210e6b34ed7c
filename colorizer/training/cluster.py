"""Which workers train together: TF_CONFIG, TensorFlow's own variable for it."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.errors import UsageError

VARIABLE = "TF_CONFIG"
# The worker that writes the run folder is the first: the chief where there is one, else worker 0.
_JOBS = ("chief", "worker")


@dataclass(frozen=True)
class Cluster:
    """The workers that train together, and which of them this process is.

    Attributes:
        addresses: host:port of each worker; the first one is the chief.
        index: the place of this process among them.
    """

    addresses: tuple[str, ...]
    index: int


def read_cluster(environment: Mapping[str, str] = os.environ) -> Cluster | None:
    """Reads the cluster from TF_CONFIG; None where there is none, or one of a single worker.

    Raises:
        UsageError: TF_CONFIG is damaged, or speaks of something else than workers.
    """
    text = environment.get(VARIABLE, "").strip()
    if not text:
        return None
    try:
        content = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{VARIABLE} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise UsageError(f"{VARIABLE} must be an object, not {text}")
    jobs = content.get("cluster") or {}
    if not isinstance(jobs, dict) or not all(map(_are_addresses, jobs.values())):
        raise UsageError(f"{VARIABLE}: cluster must give each job a list of host:port")
    if surplus := sorted(set(jobs) - set(_JOBS)):
        raise UsageError(f"{VARIABLE}: cluster has {surplus[0]}, of chief and worker only")
    if len(jobs.get("chief", ())) > 1:
        raise UsageError(f"{VARIABLE}: cluster has more than one chief")
    places = [(job, number) for job in _JOBS for number in range(len(jobs.get(job, ())))]
    if len(places) < 2:
        return None
    addresses = tuple(jobs[job][number] for job, number in places)
    return Cluster(addresses, _index(content.get("task"), places))


def _are_addresses(addresses: Any) -> bool:
    return isinstance(addresses, list) and all(
        isinstance(one, str) and one.rpartition(":")[2].isdigit() for one in addresses
    )


def _index(task: Any, places: list[tuple[str, int]]) -> int:
    try:
        return places.index((task["type"], int(task["index"])))
    except (KeyError, TypeError, ValueError):
        known = ", ".join(f"{job} {number}" for job, number in places)
        raise UsageError(f"{VARIABLE}: task {task} is none of {known}") from None
