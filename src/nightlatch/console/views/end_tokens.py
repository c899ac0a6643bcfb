"""Before tokens end: which ones, and what stops. After it: a receipt."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from nightlatch.console.language import Language
from nightlatch.console.views.moments import Moment, moment
from nightlatch.console.views.password_again import PasswordAgain
from nightlatch.console.views.tokens import TokenRow, token_row
from nightlatch.model.records import TokenRecord

ACTIVE: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class EndTokens:
    """The page `end_tokens.html`; its form sends `id` for each row to /console/tokens/end/."""

    reason: str
    """Why these: a sentence, empty where they were selected one by one."""
    active: tuple[TokenRow, ...]
    """Used within ACTIVE: what uses them stops."""
    quiet: tuple[TokenRow, ...]
    again: PasswordAgain

    @property
    def count(self) -> int:
        """How many end."""
        return len(self.active) + len(self.quiet)


@dataclass(frozen=True, slots=True)
class EndedTokensView:
    """The page `tokens_ended.html`: `gone` had ended before, by somebody else or by themselves."""

    rows: tuple[TokenRow, ...]
    gone: int
    at: Moment


def end_tokens_view(
    language: Language,
    tokens: Sequence[TokenRecord],
    now: datetime,
    again: PasswordAgain,
    email: str | None = None,
    idle_days: int | None = None,
) -> EndTokens:
    """What would end: tokens of `email`, those idle for `idle_days`, or (both None) those selected."""
    reason = ""
    if email is not None:
        reason = language.gettext("All tokens of %(email)s.", email=email)
    elif idle_days is not None:
        reason = language.ngettext(
            "All tokens that nobody has used for %(number)s day.",
            "All tokens that nobody has used for %(number)s days.",
            idle_days,
        )
    rows = [(token, token_row(language, token, now)) for token in tokens]
    return EndTokens(
        reason=reason,
        active=tuple(row for token, row in rows if _is_active(token, now)),
        quiet=tuple(row for token, row in rows if not _is_active(token, now)),
        again=again,
    )


def ended_tokens_view(
    language: Language, ended: Sequence[TokenRecord], gone: int, at: datetime, now: datetime
) -> EndedTokensView:
    """The receipt."""
    return EndedTokensView(
        rows=tuple(token_row(language, token, now) for token in ended),
        gone=gone,
        at=moment(language, at, now),
    )


def _is_active(token: TokenRecord, now: datetime) -> bool:
    return token.last_used is not None and now - token.last_used < ACTIVE
