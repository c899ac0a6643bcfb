"""Whom a request comes from: X-Forwarded-For is believed from trusted proxies only."""

import json
from ipaddress import ip_network
from typing import Any

import pytest

from nightlatch.edge.forwarded_for import ForwardedFor
from nightlatch.model.errors import CannotStart
from nightlatch.settings import load_settings
from tests.accounts import Accounts
from tests.conftest import Database
from tests.serving import Serving
from tests.sockets import exchange

TRUSTED = [ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"), ip_network("127.0.0.1/32")]


def seen(peer: str, *headers: bytes) -> str:
    """The address that the application is told."""
    told: list[str] = []

    def application(scope: Any, receive: Any, send: Any) -> None:
        told.append(scope["client"][0])

    scope = {
        "type": "http",
        "client": (peer, 4711),
        "headers": [(b"x-forwarded-for", value) for value in headers],
    }
    ForwardedFor(application, TRUSTED)(scope, None, None)  # type: ignore[arg-type]
    return told[0]


@pytest.mark.parametrize(
    ("peer", "headers", "address"),
    [
        ("10.0.0.1", [b"192.0.2.7"], "192.0.2.7"),
        ("10.0.0.1", [b"192.0.2.7, 10.0.0.2"], "192.0.2.7"),
        ("10.0.0.1", [b"192.0.2.7", b"10.0.0.2"], "192.0.2.7"),
        ("10.0.0.1", [b"10.9.9.9, 192.0.2.7"], "192.0.2.7"),  # what stands before it anybody may write
        ("10.0.0.1", [b"198.51.100.1, 192.0.2.7, 10.0.0.2"], "192.0.2.7"),
        ("10.0.0.1", [b"10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("2001:db8::1", [b"2001:0DB9:0:0::7"], "2001:db9::7"),
        ("::ffff:10.0.0.1", [b"192.0.2.7"], "192.0.2.7"),
        ("10.0.0.1", [b"::ffff:192.0.2.7"], "192.0.2.7"),
        ("192.0.2.9", [b"192.0.2.7"], "192.0.2.9"),
        ("192.0.2.9", [], "192.0.2.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [b""], "10.0.0.1"),
        ("10.0.0.1", [b"unknown"], "10.0.0.1"),
        ("10.0.0.1", [b"192.0.2.7, unknown"], "10.0.0.1"),
        ("10.0.0.1", [b"192.0.2.7:80"], "10.0.0.1"),
        ("10.0.0.1", [b"fe80::1%" + b"A" * 300], "10.0.0.1"),
        ("10.0.0.1", [b"fe80::1%eth0, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [b"\xff\x00" * 5000], "10.0.0.1"),
    ],
)
def test_the_last_address_that_is_no_trusted_proxys_is_the_clients(
    peer: str, headers: list[bytes], address: str
) -> None:
    assert seen(peer, *headers) == address


@pytest.mark.parametrize("wrong", ["proxy.example", "10.0.0.1/8", "10.0.0.0/33"])
def test_a_wrong_network_stops_the_start_with_the_settings_name(wrong: str) -> None:
    with pytest.raises(CannotStart, match=rf"NIGHTLATCH_TRUSTED_PROXIES.*such as 10.0.0.0/8.*{wrong}"):
        load_settings({"trusted_proxies": f"10.0.0.0/8,{wrong}"}, None, {})


def test_networks_are_taken_from_a_variable_and_from_a_list() -> None:
    given: tuple[object, ...] = ("10.0.0.0/8, ::1", ["10.0.0.0/8", "::1"])
    for value in given:
        settings = load_settings({"trusted_proxies": value}, None, {})
        assert settings.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1/128"))


@pytest.mark.slow
@pytest.mark.parametrize(("trusted", "address"), [("127.0.0.1", "192.0.2.7"), ("", "127.0.0.1")])
def test_the_log_names_the_client_only_as_far_as_proxies_are_trusted(
    database: Database,
    accounts: Accounts,
    tmp_path_factory: pytest.TempPathFactory,
    trusted: str,
    address: str,
) -> None:
    log = tmp_path_factory.mktemp("server") / "log"
    serving = Serving(database.url, log, trusted_proxies=trusted, log_format="json").wait_ready()
    try:
        body = json.dumps(accounts.add_person().login_body).encode()
        headers = [("Content-Type", "application/json"), ("X-Forwarded-For", "192.0.2.7")]
        assert exchange(serving.port, "POST", "/api/auth/login/", headers, body).status == 200
    finally:
        serving.stop()
    lines = [json.loads(line) for line in log.read_text().splitlines() if '"login"' in line]
    assert [line["address"] for line in lines if line["event"] == "login"] == [address]
