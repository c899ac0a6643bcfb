"""Making a token: the form, and the page that shows it once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from nightlatch.console.language import Language
from nightlatch.console.views.moments import Moment, duration, moment
from nightlatch.console.views.password_again import PasswordAgain
from nightlatch.console.views.snippets import Snippet, snippets
from nightlatch.console.views.tokens import Meter
from nightlatch.model.names import LimitPolicy
from nightlatch.model.records import IssuedToken

_DAY: Final = 24 * 3600
_SUGGESTED: Final = (1 * _DAY, 7 * _DAY, 30 * _DAY, 90 * _DAY, 365 * _DAY)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several: what the form sends, and what it is called."""

    value: str
    label: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class NewToken:
    """The page `new_token.html`; its form sends `name`, `time_to_live` (seconds; empty: the organization's).

    `problems` are sentences by field; that of "" is the whole form's.
    """

    name: str
    choices: tuple[Choice, ...]
    meter: Meter
    policy: LimitPolicy
    again: PasswordAgain
    problems: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CreatedToken:
    """The page `token_created.html`: the one place where the token is shown."""

    id: str
    name: str
    token: str = field(repr=False)
    expiry: Moment | None
    replaced: int
    """How many tokens were ended to make place."""
    snippets: tuple[Snippet, ...]


def new_token_view(
    language: Language,
    time_to_live: int | None,
    meter: Meter,
    policy: LimitPolicy,
    again: PasswordAgain,
    name: str = "",
    chosen: str = "",
    problems: Mapping[str, str] | None = None,
) -> NewToken:
    """The form; `time_to_live` is the organization's, which a token's may not exceed (None: any)."""
    lengths = [seconds for seconds in _SUGGESTED if time_to_live is None or seconds < time_to_live]
    longest = language.gettext("Never") if time_to_live is None else duration(language, time_to_live)
    pairs = [(str(seconds), duration(language, seconds)) for seconds in lengths] + [("", longest)]
    return NewToken(
        name=name,
        choices=tuple(Choice(value, label, value == chosen) for value, label in pairs),
        meter=meter,
        policy=policy,
        again=again,
        problems=problems or {},
    )


def created_token_view(
    language: Language, issued: IssuedToken, name: str, server_url: str, now: datetime
) -> CreatedToken:
    """The token in clear; `server_url` is where people reach this server, without a slash at its end."""
    return CreatedToken(
        id=issued.token.id,
        name=name,
        token=issued.token.reveal(),
        expiry=moment(language, issued.expiry, now) if issued.expiry is not None else None,
        replaced=len(issued.replaced),
        snippets=snippets(server_url),
    )
