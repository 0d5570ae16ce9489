from collections.abc import Iterator

import pytest

from tests.serving.access.issuer import MAKERS, RealIssuer


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def issuer() -> Iterator[RealIssuer]:
    """An issuer with one key of each algorithm, named after it."""
    found = RealIssuer()
    for algorithm in MAKERS:
        found.add(algorithm, algorithm)
    yield found
    found.stop()


@pytest.fixture(scope="module")
def forger() -> Iterator[RealIssuer]:
    """A real issuer whom nobody trusts."""
    found = RealIssuer()
    for algorithm in MAKERS:
        found.add(algorithm, algorithm)
    yield found
    found.stop()


@pytest.fixture
def own_issuer() -> Iterator[RealIssuer]:
    """An issuer that a test may rotate, break and stop; its key is `first`."""
    found = RealIssuer()
    found.add("first")
    yield found
    found.answering.set()
    found.stop()
