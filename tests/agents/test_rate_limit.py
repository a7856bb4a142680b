"""What an endpoint is spared after it has complained."""

from __future__ import annotations

import math
import threading
import time

import pytest

from goal_drift_gym.agents.rate_limit import LONGEST_PAUSE_S, RateLimiter, limiter_of


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def limiter(clock):
    return RateLimiter(clock)


def complain(limiter: RateLimiter, retry_after_s: float | None = None) -> None:
    with limiter.place(math.inf) as place:
        place.limited(retry_after_s)


def passes(limiter: RateLimiter) -> None:
    with limiter.place(math.inf):
        pass


def is_open(limiter: RateLimiter, clock: Clock) -> bool:
    with limiter.place(clock.now + 0.001) as place:
        return place is not None


def held(limiter: RateLimiter, count: int) -> list:
    places = [limiter.place(math.inf) for _ in range(count)]
    for place in places:
        place.__enter__()
    return places


def let_go(places: list) -> None:
    for place in places:
        place.__exit__(None, None, None)


def test_nothing_is_held_back_before_the_first_complaint(limiter):
    places = held(limiter, 500)

    assert limiter.at_once == math.inf
    let_go(places)


def test_a_complaint_halves_what_is_under_way(limiter):
    places = held(limiter, 39)
    complain(limiter)

    assert limiter.at_once == 20
    let_go(places)


def test_requests_that_were_under_way_at_a_cut_do_not_cut_again(limiter, clock):
    places = [limiter.place(math.inf) for _ in range(8)]
    for place in [place.__enter__() for place in places]:
        place.limited(1.0)
    clock.now = 0.5
    let_go(places)

    assert limiter.at_once == 4


def test_each_round_of_requests_that_pass_allows_about_one_more(limiter, clock):
    places = held(limiter, 9)
    complain(limiter)
    let_go(places)
    clock.now = 10.0
    before = limiter.at_once
    for _ in range(int(before)):
        passes(limiter)

    assert before + 0.8 < limiter.at_once <= before + 1.0


def test_one_request_at_a_time_is_always_allowed(limiter, clock):
    for step in range(5):
        clock.now = 100.0 * (step + 1)
        complain(limiter)

    assert limiter.at_once == 1.0
    clock.now = 1000.0
    assert is_open(limiter, clock)


@pytest.mark.parametrize(
    ("asked_s", "pause_s"), [(7.0, 7.0), (None, 0.5), (0.0, 0.0), (3600.0, LONGEST_PAUSE_S), (-5.0, 0.0)]
)
def test_all_wait_for_as_long_as_the_endpoint_asks_for_and_not_much_longer(clock, asked_s, pause_s):
    limiter = RateLimiter(clock)
    complain(limiter, asked_s)
    if pause_s:
        clock.now = pause_s - 0.01
        threading.Timer(0.05, lambda: setattr(clock, "now", pause_s - 0.001)).start()
        assert not is_open(limiter, clock)
    clock.now = pause_s

    assert is_open(limiter, clock)


def test_who_waits_for_a_place_gives_up_at_its_deadline():
    limiter = RateLimiter()
    complain(limiter, 0.0)
    places = held(limiter, 1)
    begun = time.monotonic()
    with limiter.place(begun + 0.1) as place:
        assert place is None
    assert 0.1 <= time.monotonic() - begun < 5.0
    let_go(places)


def test_who_waits_goes_on_when_a_place_is_free():
    limiter = RateLimiter()
    complain(limiter, 0.0)
    places = held(limiter, 1)
    threading.Timer(0.05, let_go, [places]).start()
    with limiter.place(time.monotonic() + 20.0) as place:
        assert place is not None


def test_a_model_at_an_endpoint_has_one_limiter_in_a_process():
    assert limiter_of("http://a", "m") is limiter_of("http://a", "m")
    assert limiter_of("http://a", "m") is not limiter_of("http://a", "n")
    assert limiter_of("http://a", "m") is not limiter_of("http://b", "m")


def test_many_threads_never_exceed_what_is_allowed():
    limiter = RateLimiter()
    places = held(limiter, 7)
    complain(limiter, 0.0)
    let_go(places)
    time.sleep(0.01)
    limit = limiter.at_once
    busy, most, lock = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal busy, most
        with limiter.place(time.monotonic() + 20.0):
            with lock:
                busy += 1
                most = max(most, busy)
            time.sleep(0.01)
            with lock:
                busy -= 1

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    # Twelve that pass raise a limit of four by at most three.
    assert limit == 4
    assert 1 < most <= limit + 3
