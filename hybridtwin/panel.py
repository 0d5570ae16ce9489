"""The same work for everyone of a panel: in this process, in several of this machine, or Ray's.

Ray is the extra `hybridtwin[ray]`. What is sent to its processes holds people's records: a cluster
of several machines has to be as private as they are.
"""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from threading import Thread
from typing import Any, Final, TypeVar

import torch

from hybridtwin.errors import ModelError

VARIABLE: Final = "HYBRIDTWIN_RAY"
"""How many processes to start here, or the address of a cluster: auto, host:port, ray://..."""
_AHEAD: Final = 2
"""Pieces of work for each process that are prepared while it is busy."""

Person = TypeVar("Person")
Result = TypeVar("Result")


def for_each(
    work: Callable[[Person], Result], people: Iterable[Person], processes: int = 1
) -> Iterator[tuple[Person, Result]]:
    """Everyone with what the work gives for them, in order.

    People are taken a few ahead of the results, so that a panel need not fit into memory.

    Args:
        work: What is done; sent to every process once by Ray, and with each person otherwise.
        people: What the work needs to know of each.
        processes: How many share it, where it is not Ray's; with 1 it is done in this one.

    Raises:
        ModelError: HYBRIDTWIN_RAY is set, but there is no Ray.
    """
    where = os.environ.get(VARIABLE)
    if where:
        yield from _over_ray(where, work, people)
    elif processes > 1:
        yield from _over_processes(processes, work, people)
    else:
        for person in people:
            yield person, work(person)


def _over_processes(
    processes: int, work: Callable[[Person], Result], people: Iterable[Person]
) -> Iterator[tuple[Person, Result]]:
    fresh = multiprocessing.get_context("spawn")  # a copy would hold threads that do not run
    with ProcessPoolExecutor(processes, fresh, _share) as pool:
        most = _AHEAD * processes
        yield from _few_ahead(most, lambda one: pool.submit(work, one), Future.result, people)


def _share() -> None:
    """Begin a process that shares some work with others."""
    torch.set_num_threads(1)  # processes share the cores; threads in each would only contend
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started it ends it
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """However that ends: a process that waits for work would else wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _few_ahead(
    most: int,
    begin: Callable[[Person], Any],
    end: Callable[[Any], Result],
    people: Iterable[Person],
) -> Iterator[tuple[Person, Result]]:
    begun: deque[tuple[Person, Any]] = deque()
    for person in people:
        begun.append((person, begin(person)))
        if len(begun) == most:
            first, result = begun.popleft()
            yield first, end(result)
    for person, result in begun:
        yield person, end(result)


def _over_ray(
    where: str, work: Callable[[Person], Result], people: Iterable[Person]
) -> Iterator[tuple[Person, Result]]:
    ray = _ray(where)
    remote, shared = ray.remote(_done), ray.put(work)
    most = _AHEAD * int(ray.cluster_resources().get("CPU", 1))
    yield from _few_ahead(most, partial(remote.remote, shared), ray.get, people)


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
