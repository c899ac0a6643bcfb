"""The console mails its links, and shows them whatever becomes of the mail."""

import json
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.accounts import Accounts, Person
from tests.commands import run_command
from tests.conftest import Database, need
from tests.mail_server import Certificate, ReceivingServer, RudeServer, make_certificate
from tests.postgresql import free_port
from tests.serving import Serving

pytestmark = pytest.mark.slow
PUBLIC = "https://auth.example.com/base"
GERMAN = {"Accept-Language": "de"}


@dataclass
class Console:
    """A server whose mail goes to an address that a test may put a server at, with an owner signed in."""

    accounts: Accounts
    serving: Serving
    mail_port: int
    certificate: Certificate

    @contextmanager
    def sign_in(self, person: Person) -> Iterator[httpx.Client]:
        """A browser of theirs."""
        url, headers = f"http://localhost:{self.serving.port}", {"Sec-Fetch-Site": "same-origin"}
        with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
            answer = client.post("/console/sign-in/", data=person.login_body)
            assert answer.status_code == 303
            # Only browsers send a Secure cookie to their own machine over HTTP.
            client.headers["Cookie"] = answer.headers["set-cookie"].partition(";")[0]
            yield client

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Lines of the log that tell of such an event, once there is one."""
        deadline = time.monotonic() + 5
        while True:
            lines = [
                json.loads(line) for line in self.serving.log.read_text().splitlines() if line[:1] == "{"
            ]
            found = [line for line in lines if line["event"] == event]
            if found or time.monotonic() > deadline:
                return found
            time.sleep(0.05)  # asked again: the log is written by another process


@pytest.fixture(scope="module")
def console(
    accounts: Accounts, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Console]:
    need(shutil.which("openssl") is not None, "openssl")
    folder = tmp_path_factory.mktemp("mail")
    certificate = make_certificate(folder, "mail", "DNS:localhost")
    mail_port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(certificate.file))
        serving = Serving(
            database.url,
            folder / "log",
            log_format="json",
            public_url=PUBLIC,
            smtp_url=f"smtp://nightlatch:hush%20%2F%20hush%40hush@localhost:{mail_port}",
            mail_from="Nightlatch <auth@example.com>",
        )
        try:
            yield Console(accounts, serving.wait_ready(), mail_port, certificate)
        finally:
            assert serving.stop() == 0
    assert "hush" not in serving.log.read_text()
    assert not re.search("nl[pi]_", serving.log.read_text())


def shown_link(page: httpx.Response) -> str:
    """The link that a page shows to copy."""
    assert page.status_code == 200, page.text
    match = re.search(r'<code id="link"[^>]*>([^<]*)</code>', page.text)
    assert match is not None
    return unescape(match[1])


def invite(browser: httpx.Client, email: str, **headers: str) -> httpx.Response:
    return browser.post("/console/members/", data={"email": email, "role": "member"}, headers=headers)


def test_an_invitation_is_mailed_in_the_owners_language_with_the_link_that_is_shown(console: Console) -> None:
    owner = console.accounts.add_person()
    with console.sign_in(owner) as browser:
        for headers, subject, sentence in (
            ({}, "Invitation to Acme", "It was sent to new@example.com as well."),
            (GERMAN, "Einladung zu Acme", "Er wurde auch an new@example.com gesandt."),
        ):
            with ReceivingServer("starttls", console.certificate, port=console.mail_port) as mails:
                page = invite(browser, " New@Example.com ", **headers)
            link = shown_link(page)
            assert sentence in page.text
            assert link.startswith(f"{PUBLIC}/console/invitation/?link=nli_")
            (mail,) = mails.mails
            assert mail.was_encrypted
            assert mail.recipients == ("new@example.com",)
            assert mail.message["Subject"] == subject
            assert owner.username in mail.text
            assert owner.organization_id in mail.text
            assert link in mail.text.splitlines()
            opened = browser.get(link.removeprefix(PUBLIC))
            assert opened.status_code == 200
            assert "new@example.com" in opened.text


def test_a_link_to_set_a_password_is_mailed_to_the_member(console: Console) -> None:
    owner = console.accounts.add_person()
    member = console.accounts.add_person_to(owner.organization_id)
    rows = console.accounts.sql('SELECT id FROM "user" WHERE email = :email', email=member.username)
    with (
        console.sign_in(owner) as browser,
        ReceivingServer("starttls", console.certificate, port=console.mail_port) as mails,
    ):
        page = browser.post(f"/console/members/{rows[0][0]}/password/", data={})
        link = shown_link(page)
        assert browser.get(link.removeprefix(PUBLIC)).status_code == 200
    assert f"It was sent to {member.username} as well." in page.text
    (mail,) = mails.mails
    assert mail.recipients == (member.username,)
    assert link in mail.text.splitlines()


def test_a_mail_that_fails_loses_nothing_and_the_page_says_so(console: Console) -> None:
    owner = console.accounts.add_person()
    member = console.accounts.add_person_to(owner.organization_id)
    rows = console.accounts.sql('SELECT id FROM "user" WHERE email = :email', email=member.username)
    with console.sign_in(owner) as browser:
        page = invite(browser, "new@example.com")
        assert "The mail to new@example.com could not be sent." in page.text
        assert "as well" not in page.text
        assert browser.get(shown_link(page).removeprefix(PUBLIC)).status_code == 200
        page = browser.post(f"/console/members/{rows[0][0]}/password/", data={}, headers=GERMAN)
        assert f"Die E-Mail an {member.username} konnte nicht gesandt werden." in page.text
        assert browser.get(shown_link(page).removeprefix(PUBLIC)).status_code == 200
        page = invite(browser, "a,b@example.com")
        assert "The mail to a,b@example.com could not be sent." in page.text
        assert browser.get(shown_link(page).removeprefix(PUBLIC)).status_code == 200
    lines = [
        line for line in console.logged("mail_not_sent") if line["organization_id"] == owner.organization_id
    ]
    assert [line["reason"] for line in lines] == [
        "connecting: Connection refused",
        "connecting: Connection refused",
        "the recipient's address is none that mail can be sent to",
    ]


def test_while_a_mail_is_under_way_nothing_is_held_and_the_invitation_stands(console: Console) -> None:
    owner = console.accounts.add_person()
    answers: list[httpx.Response] = []
    with console.sign_in(owner) as browser, console.sign_in(owner) as other:
        with RudeServer(port=console.mail_port) as silent:
            waiting = threading.Thread(target=lambda: answers.append(invite(browser, "new@example.com")))
            waiting.start()
            silent.wait_open(1)
            begun = time.monotonic()
            # The same rows that the invitation's transaction has locked, and the table that it wrote to.
            rows = console.accounts.sql(
                "UPDATE organization SET name = name WHERE id = :id RETURNING id", id=owner.organization_id
            )
            console.accounts.sql(
                "UPDATE invitation SET role = role WHERE organization_id = :id", id=owner.organization_id
            )
            assert "new@example.com" in other.get("/console/members/").text
            assert time.monotonic() - begun < 3
            assert len(rows) == 1
            assert not answers
            silent.hang_up()
            waiting.join()
        assert "could not be sent" in answers[0].text
        assert browser.get(shown_link(answers[0]).removeprefix(PUBLIC)).status_code == 200


def test_whoever_may_not_invite_causes_no_mail(console: Console) -> None:
    owner = console.accounts.add_person()
    member = console.accounts.add_person_to(owner.organization_id)
    stranger = console.accounts.add_person()
    rows = console.accounts.sql('SELECT id FROM "user" WHERE email = :email', email=member.username)
    with ReceivingServer("starttls", console.certificate, port=console.mail_port) as mails:
        with console.sign_in(member) as browser:
            assert invite(browser, "new@example.com").status_code == 403
        with console.sign_in(stranger) as browser:
            assert browser.post(f"/console/members/{rows[0][0]}/password/", data={}).status_code == 404
        with console.sign_in(owner) as browser:
            assert invite(browser, member.username).status_code == 400
            assert invite(browser, "new@example.com", **{"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert mails.mails == []


def test_without_a_mail_server_the_page_says_nothing_of_mail(accounts: Accounts, tmp_path: Path) -> None:
    serving = Serving(accounts.database_url, tmp_path / "log").wait_ready()
    try:
        plain = Console(accounts, serving, 0, Certificate(tmp_path, tmp_path))
        with plain.sign_in(accounts.add_person()) as browser:
            page = invite(browser, "new@example.com")
            assert shown_link(page).startswith(f"http://localhost:{serving.port}/console/invitation/")
            assert "sent" not in page.text
    finally:
        serving.stop()


def test_the_doctor_looks_at_the_mail_server_too(accounts: Accounts, tmp_path: Path) -> None:
    chosen = {"mail_from": "auth@example.com", "public_url": PUBLIC}
    outcome = run_command(
        accounts.database_url, "doctor", settings=chosen | {"smtp_url": "smtps://u:hush@localhost:1"}
    )
    assert outcome.code == 1
    assert re.search(
        r"problem +mail: connecting: Connection refused\n +-> Correct host and port", outcome.out
    )
    with ReceivingServer("none", login=False) as server:
        url = server.url("smtp")
        outcome = run_command(accounts.database_url, "doctor", settings=chosen | {"smtp_url": url})
    assert re.search(r"ok +mail: the server takes mail from mail_from", outcome.out)
    assert "hush" not in outcome.out + outcome.error
