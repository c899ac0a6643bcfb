"""A browser for tests of the console: it keeps cookies, and says where a request comes from."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import unescape
from urllib.parse import urlencode

from nightlatch.console.cookies import SESSION
from tests.accounts import Person
from tests.sockets import request_bytes, send

HOST = "testserver"
OWN = [("Origin", f"http://{HOST}"), ("Sec-Fetch-Site", "same-origin")]
FORM = ("Content-Type", "application/x-www-form-urlencoded")

Fields = Mapping[str, str | list[str]] | bytes


@dataclass(frozen=True)
class Page:
    """An answer, with each header as often as it was sent."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """The header's value; empty where there is none."""
        return next((value for key, value in self.headers if key == name), "")

    @property
    def cookies(self) -> list[str]:
        """Every Set-Cookie."""
        return [value for key, value in self.headers if key == "set-cookie"]

    @property
    def text(self) -> str:
        """The body."""
        return self.body.decode()

    @property
    def words(self) -> str:
        """What the page says, without its tags."""
        return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", self.text)))


def parse(received: bytes) -> Page:
    """What the server sent."""
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    pairs = [line.partition(":") for line in lines[1:]]
    return Page(
        int(lines[0].split(" ")[1]), [(name.lower(), value.strip()) for name, _, value in pairs], body
    )


@dataclass
class Browser:
    """One browser at one server; redirects are for the test to follow."""

    port: int
    jar: dict[str, str] = field(default_factory=dict)

    def ask(
        self, method: str, path: str, headers: Iterable[tuple[str, str]] = (), body: bytes | None = None
    ) -> Page:
        """One request with these headers and the cookies."""
        sent = list(headers)
        if self.jar:
            sent.append(("Cookie", "; ".join(f"{name}={value}" for name, value in self.jar.items())))
        page = parse(send(self.port, request_bytes(method, path, sent, body, HOST)))
        for cookie in page.cookies:
            pair, _, attributes = cookie.partition(";")
            name, _, value = pair.partition("=")
            if "max-age=0" in attributes.lower():
                self.jar.pop(name, None)
            else:
                self.jar[name] = value
        return page

    def get(self, path: str) -> Page:
        """A page."""
        return self.ask("GET", path)

    def post(self, path: str, fields: Fields, headers: Iterable[tuple[str, str]] = OWN) -> Page:
        """A form of our own page, unless the headers say otherwise."""
        body = fields if isinstance(fields, bytes) else urlencode(fields, doseq=True).encode()
        return self.ask("POST", path, [FORM, *headers], body)

    def sign_in(self, person: Person, **more: str) -> Page:
        """Sign in and arrive."""
        answer = self.post("/console/sign-in/", {**person.login_body, **more})
        assert answer.status == 303, answer.words
        assert answer.header("location").startswith("/console/arrived/")
        return self.get(answer.header("location"))

    @property
    def session(self) -> str:
        """The session's secret."""
        return self.jar[SESSION]

    @property
    def is_in(self) -> bool:
        """Whether it has a live session; nothing is learned by it, and no cookie changed."""
        page = Browser(self.port, dict(self.jar)).get("/console/account/")
        assert page.status in (200, 303)
        return page.status == 200

    def on(self, port: int) -> "Browser":
        """The same cookies at another server."""
        return Browser(port, dict(self.jar))


def signed_in(port: int, person: Person) -> Browser:
    """A browser in which that person has signed in."""
    browser = Browser(port)
    browser.sign_in(person)
    return browser
