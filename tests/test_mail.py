"""Mail through SMTP: to whom it goes, that it is encrypted, and what is said when it does not go."""

import asyncio
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nightlatch.clock import Clock, SystemClock
from nightlatch.console.language import find_language
from nightlatch.console.views.mails import invitation_mail, password_mail
from nightlatch.doctor.finding import Verdict
from nightlatch.doctor.mail import check_mail
from nightlatch.mail import (
    AT_ONCE_MAX,
    MAILS_PER_ORGANIZATION,
    SECONDS_MAX,
    WAITING_MAX,
    Mailer,
    build_mailer,
)
from nightlatch.model.errors import InvalidValue, MailNotSent
from nightlatch.model.invitation import InvitationId, IssuedInvitation
from nightlatch.model.mail import Mail, parse_mail_server, parse_sender
from nightlatch.model.names import Email, OrganizationId, Role, UserId, parse_email
from nightlatch.model.password_link import IssuedLink
from nightlatch.model.secret import INVITATION, PASSWORD_LINK
from nightlatch.model.session import Session, generate_session_id
from nightlatch.model.standing import Identity
from nightlatch.server import WORKER_KILL_SECONDS
from nightlatch.settings import Settings, load_settings
from tests.conftest import need
from tests.mail_server import ELSEWHERE, PASSWORD, Certificate, ReceivingServer, RudeServer, make_certificate

NOW = datetime(2026, 11, 26, 9, 30, tzinfo=UTC)
LINK = "https://auth.example.com/console/invitation/?link=" + INVITATION.generate().reveal()
MAIL = Mail(OrganizationId("auhf2k"), Email("new@example.com"), "Invitation", f"Open this:\n\n{LINK}\n")
FROM = "Example, Inc. <auth@example.com>"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Certificate]:
    """For this machine and for ELSEWHERE; trusted as the operator would have it trusted."""
    need(shutil.which("openssl") is not None, "openssl")
    names = f"DNS:localhost,IP:127.0.0.1,IP:{ELSEWHERE}"
    made = make_certificate(tmp_path_factory.mktemp("tls"), "trusted", names)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(made.file))
        yield made


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Certificate:
    """The same names, vouched for by nobody."""
    names = f"DNS:localhost,IP:127.0.0.1,IP:{ELSEWHERE}"
    return make_certificate(tmp_path_factory.mktemp("tls"), "strange", names)


def send(url: str, mail: Mail = MAIL, seconds: float = 10.0) -> None:
    async def run() -> None:
        await Mailer(parse_mail_server(url), parse_sender(FROM), SystemClock(), seconds).send(mail)

    asyncio.run(run())


def refusal(url: str, mail: Mail = MAIL, seconds: float = 10.0) -> str:
    """Why the mail was not sent; neither the link nor the password is told."""
    with pytest.raises(MailNotSent) as raised:
        send(url, mail, seconds)
    told = f"{raised.value.detail} {raised.value.advice} {raised.value.public} {raised.value!r}"
    assert "nli_" not in told
    assert "hush" not in told
    assert raised.value.__cause__ is None
    return raised.value.detail


@pytest.mark.parametrize("host", ["localhost", ELSEWHERE])
@pytest.mark.parametrize(("scheme", "tls"), [("smtps", "implicit"), ("smtp", "starttls")])
def test_a_mail_arrives_encrypted(scheme: str, tls: str, host: str, certificate: Certificate) -> None:
    with ReceivingServer(tls, certificate) as server:  # type: ignore[arg-type]
        send(server.url(scheme, host))
    (mail,) = server.mails
    assert mail.was_encrypted
    assert (mail.sender, mail.recipients) == ("auth@example.com", ("new@example.com",))
    message = mail.message
    assert message["From"] == '"Example, Inc." <auth@example.com>'
    assert message["To"] == "new@example.com"
    assert message["Subject"] == "Invitation"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"].endswith("@example.com>")
    assert abs((datetime.now(UTC) - message["Date"].datetime).total_seconds()) < 60
    assert message.get_content_type() == "text/plain"
    assert LINK in mail.text.splitlines()
    assert LINK.encode() in mail.raw.splitlines()


def test_nothing_is_told_to_a_server_elsewhere_that_offers_no_tls() -> None:
    with ReceivingServer("none") as server:
        assert "does not offer STARTTLS" in refusal(server.url("smtp", ELSEWHERE))
        assert "no TLS" in refusal(server.url("smtps", ELSEWHERE))
    assert (server.mails, server.passwords) == ([], [])


def test_this_machine_is_told_in_plain_text_if_it_offers_nothing_else() -> None:
    for host in ("localhost", "127.0.0.1"):
        with ReceivingServer("none") as server:
            send(server.url("smtp", host))
        assert len(server.mails) == 1
        with ReceivingServer("none", login=False) as server:
            send(server.url("smtp", host))
        assert len(server.mails) == 1


def test_a_certificate_that_nobody_vouches_for_is_not_accepted(strange: Certificate) -> None:
    with ReceivingServer("implicit", strange) as server:
        for host in (ELSEWHERE, "localhost"):
            assert "certificate is not accepted" in refusal(server.url("smtps", host))
    assert (server.mails, server.passwords) == ([], [])
    with ReceivingServer("starttls", strange) as server:
        assert "certificate is not accepted" in refusal(server.url("smtp", ELSEWHERE))
        assert (server.mails, server.passwords) == ([], [])
        send(server.url("smtp", "localhost"))  # which would be plain text otherwise
    assert server.mails[0].was_encrypted


def test_a_certificate_for_another_name_is_not_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need(shutil.which("openssl") is not None, "openssl")
    other = make_certificate(tmp_path, "other", "DNS:mail.example.com")
    monkeypatch.setenv("SSL_CERT_FILE", str(other.file))
    with ReceivingServer("implicit", other) as server:
        assert "certificate is not accepted" in refusal(server.url("smtps"))
    with ReceivingServer("starttls", other) as server:
        assert "certificate is not accepted" in refusal(server.url("smtp", ELSEWHERE))
    assert (server.mails, server.passwords) == ([], [])


def test_a_wrong_password_is_told_without_it(certificate: Certificate) -> None:
    with ReceivingServer("implicit", certificate) as server:
        assert refusal(server.url("smtps", login="nightlatch:hush")) == "logging in: refused: 535 5.7.8"
    assert server.mails == []
    assert set(server.passwords) == {b"hush"}


@pytest.mark.parametrize(
    ("command", "answer", "reason"),
    [
        ("MAIL", "553 5.7.1 not yours", "handing over the mail: the sender is refused: 553 5.7.1"),
        ("RCPT", "550 5.1.1 nobody", "handing over the mail: the recipient is refused: 550 5.1.1"),
        ("DATA", f"554 spam: {LINK}", "handing over the mail: the server says 554"),
        ("DATA", f"554 {LINK} 5.7.1", "handing over the mail: the server says 554"),
    ],
)
def test_what_a_server_says_is_told_by_its_numbers_only(
    command: str, answer: str, reason: str, certificate: Certificate
) -> None:
    with ReceivingServer("implicit", certificate, answers={command: answer}) as server:
        assert refusal(server.url("smtps")) == reason


def test_a_server_that_is_not_there_is_named_by_what_is_wrong() -> None:
    assert refusal("smtp://localhost:1") == "connecting: Connection refused"
    assert refusal("smtp://there.is.none.invalid:25") == "connecting: there.is.none.invalid is not known"


@pytest.mark.parametrize("drips", [False, True], ids=["silent", "dripping"])
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_server_that_does_not_get_on_is_left_after_the_time(scheme: str, drips: bool) -> None:
    with RudeServer(drips) as server:
        begun = time.monotonic()
        assert "no answer in time" in refusal(f"{scheme}://localhost:{server.port}", seconds=0.3) or drips
        assert time.monotonic() - begun < 3
        server.wait_open(0)


def test_mails_at_once_and_those_that_wait_are_bounded() -> None:
    most = AT_ONCE_MAX + WAITING_MAX

    async def run(url: str) -> tuple[list[str], list[str]]:
        mailer = Mailer(parse_mail_server(url), parse_sender(FROM), SystemClock(), 1.0)

        async def one() -> str:
            with pytest.raises(MailNotSent) as raised:
                await mailer.send(MAIL)
            return raised.value.detail

        first = await asyncio.gather(*(one() for _ in range(most + 10)))
        await asyncio.sleep(0.2)  # the threads of those that were given up end, and nothing tells when
        return first, await asyncio.gather(*(one() for _ in range(most)))

    with RudeServer() as server:
        first, second = asyncio.run(run(f"smtp://localhost:{server.port}"))
        assert first.count("too many mails wait to be sent") == 10
        assert first.count("connecting: no answer in time") == AT_ONCE_MAX
        assert first.count("waiting for its turn: no answer in time") == WAITING_MAX
        assert "too many mails wait to be sent" not in second
        assert server.open_most <= AT_ONCE_MAX


class MovedClock(Clock):
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def elapsed_seconds(self) -> float:
        return self.seconds

    def wall_seconds(self) -> float:
        return self.seconds


def test_an_organization_causes_so_many_mails_in_an_hour_and_another_is_not_held_up() -> None:
    async def run(url: str) -> None:
        clock = MovedClock()
        mailer = Mailer(parse_mail_server(url), parse_sender(FROM), clock)
        for _ in range(MAILS_PER_ORGANIZATION.burst):
            await mailer.send(MAIL)
        with pytest.raises(MailNotSent, match="could not be sent") as raised:
            await mailer.send(MAIL)
        assert raised.value.detail == "too many mails in the organization's name: 50 per 1h"
        await mailer.send(replace(MAIL, organization_id=OrganizationId("other")))
        clock.seconds += MAILS_PER_ORGANIZATION.interval - 1
        with pytest.raises(MailNotSent):
            await mailer.send(MAIL)
        clock.seconds += 1
        await mailer.send(MAIL)
        with pytest.raises(MailNotSent):
            await mailer.send(MAIL)
        clock.seconds += 3600
        await mailer.send(MAIL)
        assert len(mailer._free_at) == 1

    with ReceivingServer("none", login=False) as server:
        asyncio.run(run(server.url("smtp")))
    assert len(server.mails) == MAILS_PER_ORGANIZATION.burst + 3


def test_whoever_waits_may_leave_and_the_mail_goes_on(certificate: Certificate) -> None:
    async def run(url: str) -> None:
        mailer = Mailer(parse_mail_server(url), parse_sender(FROM), SystemClock())
        waiting = asyncio.create_task(mailer.send(MAIL))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.wait(mailer._jobs)

    with ReceivingServer("implicit", certificate) as server:
        asyncio.run(run(server.url("smtps")))
    assert len(server.mails) == 1


ADDRESSES = [
    "a,b@example.com",
    "a@b,c",
    "a<b@c>d",
    "<a@b>",
    '"a"@b',
    '"a@b',
    "a;b@c",
    "group:a@b;",
    "(a)b@c",
    "a\\@b",
    "a@[127.0.0.1]",
    ".a@b",
    "a..b@c",
    "a@b..c",
    "a@b>",
    "a@b,",
    "=?utf-8?q?x=40y?=@b",
    "=?utf-8?q?x,y?=@b",
    "a@=?utf-8?q?b?=",
    "o'brien+tag@example.com",
    "-x@example.com",
    "%s%n@example.com",
    "jörg@example.com",
    "anna@straße.example",
    "अ@भारत.example",
]


@pytest.mark.parametrize("knows_unicode", [True, False])
@pytest.mark.parametrize("text", ADDRESSES)
def test_a_mail_goes_to_the_very_address_that_was_invited_or_nowhere(text: str, knows_unicode: bool) -> None:
    try:
        address = parse_email(text)
    except InvalidValue:
        address = Email(text)
    with ReceivingServer("none", login=False, knows_unicode=knows_unicode) as server:
        try:
            send(server.url("smtp"), replace(MAIL, recipient=address))
        except MailNotSent:
            assert server.mails == []
        else:
            (mail,) = server.mails
            assert mail.recipients == (address,)
            (to,) = mail.message["To"].addresses
            assert to.addr_spec == address
    if text in ("o'brien+tag@example.com", "-x@example.com") or (
        knows_unicode and text.startswith(("j", "anna"))
    ):
        assert server.mails


@pytest.mark.parametrize(
    "address",
    ["a@b\r\nRCPT TO:<c@d>", "a@b\nBcc: c@d", "a@b\x00", "a@b\u2028c", "a b@c", "a", "", "@", "a@b c"],
)
def test_an_address_that_was_never_one_gets_nothing(address: str) -> None:
    with ReceivingServer("none", login=False) as server:
        refusal(server.url("smtp"), replace(MAIL, recipient=Email(address)))
    assert server.mails == []


HOSTILE = [
    "Acme\r\nBcc: victim@example.com",
    "Acme\n\nhttps://evil.example/",
    "Acme\x00\x1b[31m\u202egnp",
    "=?utf-8?q?a=0D=0ABcc:_victim=40example.com?=",
    "%(owner)s %s {0} <script>",
    "W" * 200,
    "日本語の会社 & Söhne",
    ".",
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("code", ["en", "de"])
def test_a_hostile_name_stays_within_its_sentence(name: str, code: str) -> None:
    mail = invitation(code, name)
    with ReceivingServer("none", login=False) as server:
        send(server.url("smtp"), mail)
    (received,) = server.mails
    assert received.recipients == ("new@example.com",)
    message = received.message
    assert {key for key in message if not key.startswith("X-")} == {
        *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted"),
        *("MIME-Version", "Content-Type", "Content-Transfer-Encoding"),
    }
    assert message["Bcc"] is None
    assert message["To"] == "new@example.com"
    lines = received.text.splitlines()
    assert [line for line in lines if line.startswith("https://")] == [LINK]
    assert "\x1b" not in received.text
    assert "\u202e" not in received.text + str(message["Subject"])


def test_an_invitation_says_who_invites_where_to_and_what_to_do() -> None:
    mail = invitation("en", "Acme")
    assert mail.recipient == "new@example.com"
    assert mail.subject == "Invitation to Acme"
    assert mail.text.splitlines() == [
        "ann@example.com invites you to become a member of “Acme” (auhf2k).",
        "",
        "To accept, open this link:",
        "",
        LINK,
        "",
        "It works once, and for 7 days: until 2026-12-03 09:30 UTC.",
        "",
        "Hand it to nobody: whoever has it can use it.",
        "",
        "If you did not expect this, or do not know ann@example.com, delete this",
        "mail. Nothing happens unless the link is used.",
    ]
    assert "become an owner of" in invitation("en", "Acme", Role.OWNER).text


def test_a_link_to_set_a_password_says_who_has_made_it_and_what_to_do() -> None:
    language = find_language("en")
    assert language is not None
    issued = IssuedLink(PASSWORD_LINK.generate(), Email("bob@example.com"), NOW + timedelta(days=1))
    mail = password_mail(language, session("Acme"), issued, LINK)
    assert (mail.recipient, mail.subject) == ("bob@example.com", "Set a new password for Acme")
    assert LINK in mail.text.splitlines()
    for part in (
        "ann@example.com, an owner of “Acme”",
        "for 1 day: until 2026-11-27 09:30 UTC",
        "did not expect",
    ):
        assert part in mail.text.replace("\n", " ")


def test_a_mail_in_german_keeps_its_umlauts_and_its_link() -> None:
    with ReceivingServer("none", login=False) as server:
        send(server.url("smtp"), invitation("de", "Müller"))
    (received,) = server.mails
    assert received.message["Subject"] == "Einladung zu Müller"
    lines = received.text.splitlines()
    assert lines[0] == "ann@example.com lädt Sie ein, Mitglied von „Müller“ (auhf2k) zu werden."
    assert LINK in lines
    assert "Er gilt einmal, bis 2026-12-03 09:30 UTC (7 Tage lang)." in lines
    assert received.raw.isascii()


def invitation(code: str, name: str, role: Role = Role.MEMBER) -> Mail:
    language = find_language(code)
    assert language is not None
    invited = IssuedInvitation(
        InvitationId("Qm2Kb9ZtXwLa"),
        INVITATION.generate(),
        Email("new@example.com"),
        role,
        NOW + timedelta(days=7),
    )
    return invitation_mail(language, session(name), invited, LINK)


def session(organization_name: str) -> Session:
    return Session(
        id=generate_session_id(),
        digest=b"",
        identity=Identity(OrganizationId("auhf2k"), UserId(1), Email("ann@example.com"), Role.OWNER),
        organization_name=organization_name,
        used=NOW,
        confirmed=NOW,
        expiry=NOW + timedelta(hours=12),
        now=NOW,
    )


def settings(url: str) -> Settings:
    return load_settings(
        {"smtp_url": url, "mail_from": FROM, "public_url": "https://auth.example.com"}, None, {}
    )


def test_the_doctor_finds_what_would_keep_mail_from_going(certificate: Certificate) -> None:
    assert asyncio.run(check_mail(load_settings({}, None, {}))) == []
    with ReceivingServer("implicit", certificate) as server:
        (good,) = asyncio.run(check_mail(settings(server.url("smtps"))))
        (wrong,) = asyncio.run(check_mail(settings(server.url("smtps", login="nightlatch:hush"))))
        (plain,) = asyncio.run(
            check_mail(settings(server.url("smtp", "localhost").replace("smtp:", "smtps:", 1)))
        )
    assert server.mails == []
    assert (good.verdict, plain.verdict, good.advice) == (Verdict.OK, Verdict.OK, None)
    assert (wrong.verdict, wrong.found) == (Verdict.PROBLEM, "logging in: refused: 535 5.7.8")
    assert "user and password in smtp_url" in str(wrong.advice)
    with ReceivingServer("implicit", certificate, answers={"MAIL": "553 no"}) as server:
        (sender,) = asyncio.run(check_mail(settings(server.url("smtps"))))
    assert sender.found == "naming the sender: the sender is refused: 553"
    assert "mail_from" in str(sender.advice)


def test_a_worker_that_stops_waits_longer_than_a_mail_takes() -> None:
    assert SECONDS_MAX + 1 < WORKER_KILL_SECONDS


def test_mail_is_built_from_the_settings() -> None:
    assert build_mailer(load_settings({}, None, {})) is None
    chosen = settings(
        f"smtps://me:{PASSWORD.replace(' ', '%20').replace('/', '%2F').replace('@', '%40')}@mail:1"
    )
    assert build_mailer(chosen) is not None
    assert "hush" not in repr(chosen) + str(chosen) + chosen.model_dump_json()
    assert "hush" not in repr(parse_mail_server("smtps://me:hush@mail.example.com"))


@pytest.mark.parametrize(
    ("url", "host", "port", "is_tls", "is_local"),
    [
        ("smtps://u:p@mail.example.com", "mail.example.com", 465, True, False),
        ("smtp://u:p@mail.example.com", "mail.example.com", 587, False, False),
        ("smtp://localhost:25", "localhost", 25, False, True),
        ("smtp://127.0.0.1:25/", "127.0.0.1", 25, False, True),
        ("smtp://[::1]:25", "::1", 25, False, True),
        ("smtp://[2001:db8::1]:25", "2001:db8::1", 25, False, False),
        ("smtp://localhost.example.com", "localhost.example.com", 587, False, False),
        ("smtp://127.0.0.1.example.com", "127.0.0.1.example.com", 587, False, False),
    ],
)
def test_a_server_is_read_from_its_url(url: str, host: str, port: int, is_tls: bool, is_local: bool) -> None:
    server = parse_mail_server(url)
    assert (server.host, server.port, server.is_tls, server.is_local) == (host, port, is_tls, is_local)


def test_user_and_password_are_read_with_what_is_encoded_in_them() -> None:
    server = parse_mail_server("smtps://me%40example.com:p%3A%2F%23%25@mail.example.com:2525")
    assert (server.user, server.password, server.port) == ("me@example.com", "p:/#%", 2525)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "auth",
        "auth@",
        "a@b, c@d",
        "A <a@b>, B <c@d>",
        "A <a@b",
        "a@b\nBcc: c@d",
        "A\nBcc: x <a@b>",
        "ä@b.example",
    ],
)
def test_a_sender_that_is_no_address_is_not_accepted(text: str) -> None:
    with pytest.raises(ValueError, match="auth@example"):
        parse_sender(text)
