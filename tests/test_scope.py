"""A child token's scope: what it allows is what every reading of the request lies within (FA3)."""

import re
from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nightlatch.model.scope import (
    METHODS,
    NOTHING,
    TARGET_CHARACTERS_MAX,
    AskedRequest,
    OutOfScope,
    Scope,
    StoredScope,
    is_plain_path,
    read_scope,
    store_scope,
)
from tests.proxies.readings import paths

SCOPE = Scope(frozenset({"GET", "POST"}), ("/api/v1/acme/uploads", "/open/"))
REQUEST = AskedRequest("POST", "/api/v1/acme/uploads/1?x=1", "https://app.example.com", "192.0.2.7")


def verdict(target: str, scope: Scope = SCOPE) -> OutOfScope | None:
    return scope.why_refused(replace(REQUEST, target=target))


WITHIN = [
    "/api/v1/acme/uploads", "/api/v1/acme/uploads/", "/api/v1/acme/uploads/a/b.c",
    "/api/v1/acme/uploads?a=//../%2e",
    "/api/v1/acme/uploads/%C3%A4%20b", "/api/v1/acme/uploads/a.b.c/", "/open/", "/open/x", "/open/?",
    "/api/v1/acme/uploads/!$&'()*+,=:@-._~",
]  # fmt: skip
OUTSIDE = [
    "/", "/api", "/api/v1/acme", "/api/v1/acme/", "/api/v1/acme/upload", "/api/v1/acme/uploads2",
    "/api/v1/acme/uploads.json", "/api/v1/acme/uploads:x", "/api/v1/acme/uploads%20", "/api/v1/other/uploads",
    "/API/v1/acme/uploads", "/api/v1/%61cme/uploads", "/open", "/open2/", "/opens/x", "/x?/open/", "/x/open/",
]  # fmt: skip
AMBIGUOUS = [
    "", "*", "open/", "http://host/open/", "//open/", "//host/open/", "/open//", "/open//x", "/open/.",
    "/open/..",
    "/open/./x", "/open/../x", "/open/x/..", "/open/x/../../api", "/open/...", "/open/.x", "/open/x..",
    "/open/x../y",
    "/open/%2e", "/open/%2E%2e/x", "/open/.%2e/x", "/open/%2f", "/open/x%2Fy", "/open/%5c", "/open/%5C..%5cx",
    "/open/\\", "/open/..\\x", "/open/;", "/open/x;y=1", "/open/..;/x", "/open/%3b", "/open/x%3By",
    "/open/\x00",
    "/open/%00", "/open/%0a", "/open/%0D%0Ax", "/open/\n", "/open/\t", "/open/%09..", "/open/\x7f",
    "/open/%7f",
    "/open/%", "/open/%2", "/open/%zz", "/open/%u002e", "/open/%25", "/open/%252e%252e/x", "/open/%252f",
    "/open/%c0%ae%c0%ae/x", "/open/%C0%AF", "/open/%e0%80%af", "/open/%E0%80%AE%e0%80%ae/",
    "/open/%f0%80%80%af",
    "/open/%ff", "/open/%c3", "/open/%ed%a0%80", "/open/ x", "/open/#x", "/open/..#", "/open/é", "/open/\x85",
    "/open/\u2028", "/open/\ud800", "/open/|", "/open/\"", "/open/<>", "/open/[..]", "/open/^", "/open/`",
    "/open/{x}",
    "/" + "open/" * TARGET_CHARACTERS_MAX, "/open/?" + "x" * TARGET_CHARACTERS_MAX,
]  # fmt: skip


@pytest.mark.parametrize("target", WITHIN)
def test_a_request_below_an_allowed_path_is_within(target: str) -> None:
    assert verdict(target) is None


@pytest.mark.parametrize("target", OUTSIDE)
def test_a_request_beside_every_allowed_path_is_refused(target: str) -> None:
    assert verdict(target) is OutOfScope.PATH


@pytest.mark.parametrize("target", AMBIGUOUS, ids=lambda target: repr(target[:24]))
def test_fa3_a_path_that_can_be_read_in_two_ways_is_refused_whatever_is_allowed(target: str) -> None:
    for scope in (SCOPE, Scope(frozenset(METHODS), ("/",))):
        assert verdict(target, scope) is OutOfScope.AMBIGUOUS


FRAGMENTS = [
    "open", "x", "a.b", "/", "/", "/", "//", ".", "..", "...", "%2e", "%2E", "%2f", "%2F", "%5c", "\\", ";",
    "%3b",
    "%00", "%0a", "%09", "%20", " ", "%25", "%252e", "%252f", "%c0%ae", "%c0%af", "%e0%80%af", "%c3%a4",
    "%zz", "%",
    "?", "%3f", "#", "%23", "\x00", "\n", "é", "|", "*", "~", "@", ":", "%41", "%61", "%6fpen", "OPEN",
]  # fmt: skip
targets = st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=10).map("".join)


def lies_below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix.rstrip("/") + "/")


@given(targets)
@example("/open/..%2f..%2fx")
@example("/open/%252e%252e/x")
def test_fa3_every_reading_of_what_is_allowed_lies_below_an_allowed_path(rest: str) -> None:
    for target in (rest, f"/open/{rest}", f"/open{rest}"):
        if verdict(target, Scope(frozenset({"POST"}), ("/open",))) is None:
            assert all(lies_below(path, "/open") for path in paths(target)), paths(target)


segments = st.lists(st.text("abz019-_~", min_size=1, max_size=3), min_size=0, max_size=4)


@given(segments, segments, st.booleans(), st.booleans())
def test_paths_are_compared_by_whole_segments(
    allowed: list[str], asked: list[str], allowed_slash: bool, asked_slash: bool
) -> None:
    prefix = "/" + "/".join(allowed) + ("/" if allowed and allowed_slash else "")
    path = "/" + "/".join(asked) + ("/" if asked and asked_slash else "")
    expected = asked[: len(allowed)] == allowed
    if asked == allowed and allowed and allowed_slash and not asked_slash:
        expected = False  # /a/ does not allow /a
    assert (verdict(path, Scope(frozenset({"POST"}), (prefix,))) is None) == expected


@given(st.text(max_size=40))
def test_no_text_is_more_than_refused(text: str) -> None:
    scope = replace(SCOPE, origin="https://app.example.com", networks=(ip_network("192.0.2.0/24"),))
    assert scope.why_refused(AskedRequest(text, text, text, text)) is OutOfScope.METHOD
    assert scope.why_refused(replace(REQUEST, target=text)) is not None or text.startswith(("/api", "/open/"))
    assert scope.why_refused(replace(REQUEST, origin=text)) in (OutOfScope.ORIGIN, None)
    assert scope.why_refused(replace(REQUEST, address=text)) in (OutOfScope.ADDRESS, None)


@pytest.mark.parametrize(
    "method", ["get", "Post", "HEAD", "PUT", "", "GET ", " GET", "GET,POST", "POST\x00", "*"]
)
def test_only_the_allowed_methods_are_within_as_they_are_written(method: str) -> None:
    assert SCOPE.why_refused(replace(REQUEST, method=method)) is OutOfScope.METHOD


@pytest.mark.parametrize(
    "origin",
    [
        None, "", "null", "https://app.example.com/", "https://app.example.com:443", "http://app.example.com",
        "https://App.example.com", "https://app.example.com.evil.example", "https://evil.example",
        "https://app.example.com, https://evil.example", " https://app.example.com",
    ],
)  # fmt: skip
def test_only_the_origin_itself_is_within(origin: str | None) -> None:
    scope = replace(SCOPE, origin="https://app.example.com")
    assert scope.why_refused(REQUEST) is None
    assert scope.why_refused(replace(REQUEST, origin=origin)) is OutOfScope.ORIGIN
    assert SCOPE.why_refused(replace(REQUEST, origin=origin)) is None


@pytest.mark.parametrize(
    ("address", "is_within"),
    [
        ("192.0.2.0", True), ("192.0.2.255", True), ("::ffff:192.0.2.7", True), ("2001:db8::1", True),
        ("192.0.3.0", False), ("191.255.255.255", False), ("2001:db9::1", False), ("", False), ("localhost",
        False),
        ("192.0.2.7, 198.51.100.1", False), ("192.0.2.7:80", False), ("2001:db8::1%eth0", False),
        ("192.0.2", False),
        ("0xC0.0.2.7", False), ("192.0.2.007", False), ("::192.0.2.7", False), ("64:ff9b::192.0.2.7", False),
    ],
)  # fmt: skip
def test_only_addresses_of_the_networks_are_within(address: str, is_within: bool) -> None:
    scope = replace(SCOPE, networks=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")))
    expected = None if is_within else OutOfScope.ADDRESS
    assert scope.why_refused(replace(REQUEST, address=address)) is expected
    assert SCOPE.why_refused(replace(REQUEST, address=address)) is None


def test_empty_lists_allow_nothing() -> None:
    assert NOTHING.why_refused(REQUEST) is not None
    assert replace(SCOPE, paths=()).why_refused(REQUEST) is OutOfScope.PATH
    assert replace(SCOPE, networks=()).why_refused(REQUEST) is OutOfScope.ADDRESS


networks = st.sampled_from(["192.0.2.0/24", "192.0.2.7/32", "2001:db8::/32", "::/0"]).map(ip_network)
scopes = st.builds(
    Scope,
    st.sets(st.sampled_from(METHODS), min_size=1).map(frozenset),
    st.lists(st.from_regex(r"(?:/[a-z%2]{1,4}){1,3}", fullmatch=True).filter(is_plain_path), min_size=1).map(
        tuple
    ),
    st.none() | st.just("https://app.example.com"),
    st.none() | st.lists(networks, min_size=1).map(tuple),
)


@given(scopes)
def test_a_scope_is_read_as_it_was_stored(scope: Scope) -> None:
    assert read_scope(store_scope(scope)) == scope


@pytest.mark.parametrize(
    "stored",
    [
        StoredScope("", "", None, None),
        StoredScope("GET", "", None, None),
        StoredScope("GET", "/a //", None, None),
        StoredScope("GET", "/ ..", None, None),
        StoredScope("GET", "a", None, None),
        StoredScope("GET", "/", None, "everywhere"),
        StoredScope("GET", "/", None, ""),
        StoredScope("GET", "/", "", None),
    ],
)
def test_what_raw_sql_has_left_unreadable_allows_nothing(stored: StoredScope) -> None:
    assert read_scope(stored).why_refused(AskedRequest("GET", "/a", None, "192.0.2.7")) is not None


def test_the_proxies_and_the_judge_read_a_path_by_the_same_expression() -> None:
    from nightlatch.model import scope
    from tests.proxies.proxy import DEPLOY

    [expression] = re.findall(r"\(\?:/\(\?:.*?\)\*/\?", (DEPLOY / "nginx" / "nightlatch.conf").read_text())
    assert scope._PLAIN.pattern == expression
