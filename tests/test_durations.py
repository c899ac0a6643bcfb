"""Durations are counted by length where they arise; Prometheus is shown what its own histogram would hold."""

from typing import Any

from prometheus_client import CollectorRegistry, Histogram

from nightlatch.counts import REQUEST_SECONDS, Counts
from nightlatch.metrics import add_durations

SECONDS = (0.0, 0.0009, *REQUEST_SECONDS, 0.0011, 9.99, 10.01, 86_400.0)


def histogram() -> Histogram:
    return Histogram("durations", "Durations.", registry=CollectorRegistry(), buckets=REQUEST_SECONDS)


def samples(shown: Histogram) -> dict[Any, float]:
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for metric in shown.collect()
        for sample in metric.samples
    }
    del found["durations_created",]
    found["durations_sum",] = round(found["durations_sum",], 9)
    return found


def test_each_duration_is_in_the_bucket_in_which_prometheus_counts_it() -> None:
    expected, actual = histogram(), histogram()
    for _ in range(2):
        counts = Counts()
        for seconds in SECONDS:
            expected.observe(seconds)
            counts.request("/", 200, seconds)
        (durations,) = counts.take_requests().values()
        add_durations(actual, durations)
    assert samples(actual) == samples(expected)


def test_what_was_taken_is_taken_once_and_kept_apart_by_route_and_status() -> None:
    counts = Counts()
    for route, status in (("/a", 200), ("/a", 204), ("/a", 404), ("/b", 200)):
        counts.request(route, status, 0.002)
    counts.revocation(3.0)
    taken = {key: sum(durations.counts) for key, durations in counts.take_requests().items()}
    assert taken == {("/a", 2): 2, ("/a", 4): 1, ("/b", 2): 1}
    assert sum(counts.take_revocation_waits().counts) == 1
    assert (counts.take_requests(), counts.take_revocation_waits().total) == ({}, 0.0)
