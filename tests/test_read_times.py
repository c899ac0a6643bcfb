"""When a process says that the lease is too short for its database."""

from nightlatch.fresh.read_times import READS, ReadTimes


def test_one_slow_read_in_a_thousand_is_no_news() -> None:
    times = ReadTimes()
    for _ in range(3):
        needed = [times.lease_needed(1.0 if number == 0 else 0.125, 0.25) for number in range(READS)]
        assert needed == [None] * READS


def test_the_second_slow_read_tells_the_lease_that_is_needed_once_in_a_thousand_reads() -> None:
    times = ReadTimes()
    for _ in range(2):
        needed = [times.lease_needed(seconds, 0.25) for seconds in (0.2, 0.1, 0.3, 0.4)]
        assert needed == [None, None, 0.6, None]
        for _ in range(READS - 4):
            assert times.lease_needed(0.01, 0.25) is None
