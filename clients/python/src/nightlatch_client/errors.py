"""What can go wrong, as types. No message holds a password or a token.

NightlatchClientError
├── PlainHttpRefused     http:// to something other than this machine
├── WrongOrigin          the token is not meant for where the request goes
├── BodyNotRepeatable    the token was refused, and the body can be sent once only
├── CacheError           the token cannot be kept, or read
└── LoginError
    ├── LoginRefused     wrong username, password or organization id: trying again helps nobody
    ├── LimitReached     the organization has all the tokens it may have; `tokens` lists them
    ├── Throttled        too many attempts; `retry_after` seconds
    ├── Overloaded       the service cannot answer at the moment; `retry_after` seconds
    ├── LoginBusy        another process has been logging in for too long
    └── UnexpectedAnswer the service answered something that is not in its contract

Errors of the connection itself are httpx's (or requests') own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


class NightlatchClientError(Exception):
    """Base of all errors of this package; `code` is stable, for programs."""

    code: ClassVar[str] = "error"


class PlainHttpRefused(NightlatchClientError):
    """A token or password would have gone over the network unencrypted."""

    code = "plain_http_refused"


class WrongOrigin(NightlatchClientError):
    """The request goes to an origin that the token is not meant for."""

    code = "wrong_origin"


class BodyNotRepeatable(NightlatchClientError):
    """The token was refused, a new one is there, but the request's body can be sent only once: send it
    again.
    """

    code = "body_not_repeatable"


class CacheError(NightlatchClientError):
    """The place where the token is kept cannot be used; the message says which, and the way out."""

    code = "cache_error"


class LoginError(NightlatchClientError):
    """No token could be had. `retry_after`: seconds that the service asks to wait, if it does."""

    code = "login_failed"

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class LoginRefused(LoginError):
    """The service does not know these credentials."""

    code = "login_refused"


@dataclass(frozen=True, slots=True)
class ListedToken:
    """A live token as the service lists it; texts as they came, "" for what the service does not tell."""

    id: str
    name: str
    user: str
    created: str
    expiry: str
    last_used: str


class LimitReached(LoginError):
    """The organization has as many live tokens as it may have.

    `tokens` are these, oldest first; None where the service has no list of tokens, or did not show it.
    """

    code = "token_limit_reached"

    def __init__(self, message: str, tokens: Sequence[ListedToken] | None = None) -> None:
        super().__init__(message)
        self.tokens = None if tokens is None else tuple(tokens)


class Throttled(LoginError):
    """Too many attempts to log in."""

    code = "throttled"


class Overloaded(LoginError):
    """The service could not answer at the moment, for as long as was waited."""

    code = "overloaded"


class LoginBusy(LoginError):
    """Another process or thread holds the lock of this login for longer than a login takes."""

    code = "login_busy"


class UnexpectedAnswer(LoginError):
    """The answer to a login is none that the contract has."""

    code = "unexpected_answer"
