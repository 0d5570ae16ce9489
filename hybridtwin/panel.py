"""The same work for everyone of a panel: in this process, or spread over Ray's.

Ray is the extra `hybridtwin[ray]`. What is sent to its processes holds people's records: a cluster
of several machines has to be as private as they are.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeVar

from hybridtwin.errors import ModelError

VARIABLE: Final = "HYBRIDTWIN_RAY"
"""How many processes to start here, or the address of a cluster: auto, host:port, ray://..."""
_AHEAD: Final = 2
"""Pieces of work for each process that are prepared while it is busy."""

Person = TypeVar("Person")
Result = TypeVar("Result")


def for_each(
    work: Callable[[Person], Result], people: Iterable[Person]
) -> Iterator[tuple[Person, Result]]:
    """Everyone with what the work gives for them, in order.

    People are taken a few ahead of the results, so that a panel need not fit into memory.

    Args:
        work: What is sent to every process once.
        people: What the work needs to know of each.

    Raises:
        ModelError: HYBRIDTWIN_RAY is set, but there is no Ray.
    """
    where = os.environ.get(VARIABLE)
    if where:
        yield from _over_ray(where, work, people)
        return
    for person in people:
        yield person, work(person)


def _over_ray(
    where: str, work: Callable[[Person], Result], people: Iterable[Person]
) -> Iterator[tuple[Person, Result]]:
    ray = _ray(where)
    remote, shared = ray.remote(_done), ray.put(work)
    most = _AHEAD * int(ray.cluster_resources().get("CPU", 1))
    begun: deque[tuple[Person, Any]] = deque()
    for person in people:
        begun.append((person, remote.remote(shared, person)))
        if len(begun) == most:
            first, result = begun.popleft()
            yield first, ray.get(result)
    for person, result in begun:
        yield person, ray.get(result)


def _done(work: Callable[[Person], Result], person: Person) -> Result:
    return work(person)


def _ray(where: str) -> Any:
    """Ray, connected."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # patients' machines send no statistics
    try:
        import ray
    except ImportError as error:
        raise ModelError.of(
            VARIABLE, "is set, but Ray is not installed", "pip install 'hybridtwin[ray]'"
        ) from error
    if not ray.is_initialized():
        here = where.isdecimal()
        ray.init(
            address="local" if here else where,
            num_cpus=int(where) if here else None,
            include_dashboard=False if here else None,
            log_to_driver=False,
        )
    return ray
