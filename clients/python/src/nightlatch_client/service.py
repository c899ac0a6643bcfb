"""The service that makes tokens: its addresses, what it is asked, and what its answers mean."""

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final
from urllib.parse import quote

from nightlatch_client.errors import (
    LimitReached,
    ListedToken,
    LoginError,
    LoginRefused,
    Overloaded,
    Throttled,
    UnexpectedAnswer,
)
from nightlatch_client.kept import KeptToken
from nightlatch_client.secret import Secret
from nightlatch_client.steps import Answer, Ask

_TEXT_MAX: Final = 500


def user_agent() -> str:
    """What requests of this package's own call themselves."""
    try:
        return f"nightlatch-client/{version('nightlatch-client')}"
    except PackageNotFoundError:
        return "nightlatch-client"


@dataclass(frozen=True, slots=True)
class Service:
    """Where to log in, and as whom. The password stands in no repr, and may be a function that fetches it."""

    url: str
    username: str
    organization_id: str
    password: str | Callable[[], str] = field(repr=False)

    @property
    def key(self) -> str:
        """What names service, user and organization in a cache, and tells none of them."""
        # In the letter case it was given in: to some services bob and Bob are two users.
        names = [self.url, self.username, self.organization_id]
        return hashlib.sha256(json.dumps(names).encode()).hexdigest()

    def fetch_password(self) -> Secret:
        """The password, from where it is kept. Raises ValueError if it is no text."""
        password = Secret(self.password() if callable(self.password) else self.password)
        if not password.is_text():
            # Told here: an encoder's error would hold the password.
            raise ValueError("the password is no text that UTF-8 has: a str without surrogates")
        return password

    def login(self, password: Secret) -> Ask:
        """Log in."""
        body = {
            "username": self.username,
            "password": password.reveal(),
            "organization_id": self.organization_id,
        }
        return self._ask("POST", "api/auth/login/", json.dumps(body).encode(), once=True)

    def logout(self, token: str, everywhere: bool = False) -> Ask:
        """End a token, or all of its user's in the organization."""
        path = "api/auth/logoutall/" if everywhere else "api/auth/logout/"
        return self._ask("POST", path, authorization=f"Token {token}")

    def list_tokens(self, authorization: str) -> Ask:
        """List the live tokens."""
        query = f"?organization_id={quote(self.organization_id, safe='')}&limit=1000"
        return self._ask("GET", f"api/auth/tokens/{query}", authorization=authorization)

    def revoke(self, token_id: str, authorization: str) -> Ask:
        """End a token by its id."""
        query = f"?organization_id={quote(self.organization_id, safe='')}"
        return self._ask(
            "DELETE", f"api/auth/tokens/{quote(token_id, safe='')}/{query}", authorization=authorization
        )

    def verify(self, token: str) -> Ask:
        """Ask whose a token is."""
        return self._ask("GET", "api/auth/verify/", authorization=f"Token {token}")

    def basic(self, password: Secret) -> str:
        """HTTP Basic (RFC 7617): for who has no token, and cannot get one."""
        return "Basic " + b64encode(f"{self.username}:{password.reveal()}".encode()).decode()

    def _ask(
        self, method: str, path: str, body: bytes = b"", authorization: str = "", once: bool = False
    ) -> Ask:
        headers = {"Accept": "application/json", "User-Agent": user_agent(), "Content-Length": str(len(body))}
        if body:
            headers["Content-Type"] = "application/json"
        if authorization:
            headers["Authorization"] = authorization
        return Ask(method, self.url + path, headers, body, once)


def token_in(answer: Answer, now: float) -> KeptToken:
    """The token in a login's answer of 200. Raises UnexpectedAnswer.

    Its life is reckoned from the service's own Date, so that a clock of this machine that is wrong does not
    end it early: whoever takes every new token for expired would log in with each request.
    """
    kept = _token(answer, now)
    if isinstance(kept, str):
        # Raised here, where no variable holds the token in clear.
        raise UnexpectedAnswer(kept)
    return kept


def _token(answer: Answer, now: float) -> KeptToken | str:
    """The token, or what is wrong with the answer."""
    document = _document(answer)
    token, expiry = document.get("token"), document.get("expiry")
    if not isinstance(token, str) or not re.fullmatch(r"[!-~]+", token):
        return "The service answered a login with 200, but without a token."
    if expiry is None:
        return KeptToken(token, now, None)
    try:
        end = datetime.fromisoformat(expiry)
    except (TypeError, ValueError):
        return "The service answered a login with an expiry that is no time."
    if end.tzinfo is None:
        end = end.replace(tzinfo=UTC)
    service_now = _date(answer.headers.get("date")) or now
    return KeptToken(token, now, now + max(end.timestamp() - service_now, 0.0))


def error_in(answer: Answer, now: float, secret: Secret) -> LoginError:
    """What an answer to a login that made no token means; `secret` is cut out of what it says."""
    document = _document(answer)
    said = _said(document, secret)
    wait = retry_after(answer.headers, now)
    match answer.status:
        case 400 | 401:
            return LoginRefused(f"The service refused the login: {said or f'status {answer.status}'}")
        case 403 if document.get("code") == "token_limit_reached" or "error" in document:
            # knox has `error` alone; DRF's own refusals have `detail` alone.
            return LimitReached(said or "The organization has as many tokens as it may have.")
        case 403:
            return LoginRefused(f"The service refused the login: {said or 'status 403'}")
        case 429:
            return Throttled(_with_wait("Too many attempts to log in.", wait), wait)
        case 502 | 503 | 504:
            return Overloaded(_with_wait("The service cannot answer at the moment.", wait), wait)
        case status if 300 <= status < 400:
            return UnexpectedAnswer(
                "The service redirects logins, and a password is not sent on to another address. "
                "Use the address that it redirects to."
            )
        case status:
            return UnexpectedAnswer(
                f"The service answered a login with status {status}. Is its address right?"
            )


def tokens_in(answer: Answer) -> tuple[ListedToken, ...] | None:
    """The tokens in an answer to list_tokens; None if it is no such list."""
    results = _document(answer).get("results")
    if answer.status != 200 or not isinstance(results, list):
        return None

    def text(row: Mapping[str, object], name: str) -> str:
        value = row.get(name)
        return "" if value is None else str(value)

    names = ListedToken.__dataclass_fields__
    return tuple(ListedToken(**{name: text(row, name) for name in names}) for row in results)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """How many seconds to wait (RFC 9110 section 10.2.3: seconds, or a date); None if it does not say."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    moment = _date(value)
    return None if moment is None else max(moment - (_date(headers.get("date")) or now), 0.0)


def _with_wait(sentence: str, wait: float | None) -> str:
    return sentence if wait is None else f"{sentence} It asks to wait for {wait:.0f} seconds."


def _date(value: str | None) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp() if value else None
    except (TypeError, ValueError):
        return None


def _document(answer: Answer) -> dict[str, Any]:
    try:
        document = json.loads(answer.body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _said(document: Mapping[str, Any], secret: Secret) -> str:
    """What the service says, for people."""
    if isinstance(detail := document.get("detail") or document.get("error"), str):
        sentences = [detail]
    else:
        sentences = [
            str(sentence) if name == "non_field_errors" else f"{name}: {sentence}"
            for name, texts in document.items()
            for sentence in (texts if isinstance(texts, list) else [texts])
        ]
    text = " ".join(sentences)[:_TEXT_MAX]
    text = "".join(character if character.isprintable() else "\ufffd" for character in text)
    return text.replace(secret.reveal(), "…") if secret.reveal() else text
