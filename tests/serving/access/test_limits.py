"""Who asks too often waits; nobody waits for others."""

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from serving.access.caller import Caller, stranger
from serving.access.limits import WINDOW_S, rate_limit
from tests.serving.access.conftest import Clock

ADA, BO = (Caller(name, "token") for name in ("ada", "bo"))


def test_the_limit_is_each_callers_own(clock):
    wait_s = rate_limit(3, 1, clock)
    assert [bool(wait_s(ADA)) for _ in range(5)] == [False] * 3 + [True] * 2
    assert [bool(wait_s(BO)) for _ in range(4)] == [False] * 3 + [True]
    assert [bool(wait_s(stranger("ada"))) for _ in range(2)] == [False, True]


def test_after_the_wait_that_was_told_the_caller_is_admitted(clock):
    wait_s = rate_limit(1, 1, clock)
    assert wait_s(ADA) == 0
    clock.now_s += WINDOW_S / 3
    told_s = wait_s(ADA)
    assert told_s == 2 * WINDOW_S / 3
    clock.now_s += told_s
    assert wait_s(ADA) == 0


@given(steps_s=st.lists(st.floats(0, 30), min_size=1, max_size=60), limit=st.integers(1, 4))
def test_no_window_admits_more_than_twice_the_limit(steps_s, limit):
    clock = Clock()
    wait_s = rate_limit(limit, limit, clock)
    admitted_s = []
    for step_s in steps_s:
        clock.now_s += step_s
        if not wait_s(ADA):
            admitted_s.append(clock.now_s)
    for begin_s in admitted_s:
        assert sum(begin_s <= time_s < begin_s + WINDOW_S for time_s in admitted_s) <= 2 * limit


def test_threads_together_get_no_more(clock):
    wait_s = rate_limit(100, 100, clock)
    with ThreadPoolExecutor(8) as threads:
        waits_s = list(threads.map(lambda _: wait_s(ADA), range(400)))
    assert waits_s.count(0) == 100


def test_strangers_of_one_network_are_one():
    assert stranger("2001:db8::1") == stranger("2001:db8::ffff:1")
    assert stranger("2001:db8::1") != stranger("2001:db8:0:1::1")
    assert stranger("203.0.113.7") != stranger("203.0.113.8")
    assert stranger("::ffff:203.0.113.7") == stranger("203.0.113.7")
    assert stranger("::ffff:203.0.113.7") != stranger("::ffff:203.0.113.8")
    assert stranger("testclient").subject == "testclient"
    assert not stranger("203.0.113.7").roles
