"""Hits of the token cache are counted exactly, and no thread waits for another to count one."""

import threading

from replication import metrics
from tests.replication.numbers import Counted, number
from tests.replication.test_token_provider import in_threads

HITS = "replicator_mongo_token_cache_hits_total"


def test_a_hit_does_not_wait_and_is_told_by_the_next_update() -> None:
    counted = Counted()
    with metrics._updates:  # a hit that waited would never come back
        metrics.count_cache_hit()
    metrics.count_cache_miss()
    assert counted(HITS) == 1


def test_all_hits_of_many_threads_are_counted_while_others_update_and_read() -> None:
    counted, done = Counted(), threading.Event()

    def hit(_: int) -> None:
        for _ in range(3000):
            metrics.count_cache_hit()

    def meanwhile() -> None:
        while not done.is_set():
            metrics.observe_sign_in(connection="hits", seconds=0.1, reason="", again=False)
            assert number(HITS) >= 0

    other = threading.Thread(target=meanwhile)
    other.start()
    in_threads(16, hit, lambda: None)
    done.set()
    other.join()
    assert counted(HITS) == 48_000
