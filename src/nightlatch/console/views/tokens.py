"""The list of tokens: which are asked for, in which order, and how each is shown."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlencode

from nightlatch.console.language import Language
from nightlatch.console.views.charts import Chart, chart
from nightlatch.console.views.client import client_name
from nightlatch.console.views.moments import Moment, moment
from nightlatch.console.views.paging import PageLink, page_link, read_page
from nightlatch.model.names import LimitPolicy
from nightlatch.model.records import TokenRecord
from nightlatch.model.usage import Usage

PATH: Final = "/console/tokens/"
IDLE: Final = timedelta(days=14)
EXPIRING: Final = timedelta(days=3)
ROWS: Final = 50
"""Shown at a time."""
SORTS: Final = ("used", "name", "user", "created", "expiry")
TEXT_MAX: Final = 200
SPARK_HEIGHT: Final = 20
CHART_HEIGHT: Final = 40


class TokenState(StrEnum):
    """Which tokens are shown."""

    ALL = "all"
    IDLE = "idle"
    EXPIRING = "expiring"


@dataclass(frozen=True, slots=True)
class TokenQuery:
    """What the list is asked for; `sort` with a - before it is the other way round."""

    text: str = ""
    user: str = ""
    state: TokenState = TokenState.ALL
    sort: str = "-used"
    page: int = 1

    def url(self, **changes: Any) -> str:
        """The list with these values changed, from page 1; what is as it is by default is left out."""
        changed = replace(self, **{"page": 1, **changes})
        pairs = {
            "q": changed.text,
            "user": changed.user,
            "state": "" if changed.state is TokenState.ALL else changed.state.value,
            "sort": "" if changed.sort == "-used" else changed.sort,
            "page": "" if changed.page == 1 else str(changed.page),
        }
        given = {name: value for name, value in pairs.items() if value}
        return f"{PATH}?{urlencode(given)}" if given else PATH

    @property
    def is_narrowed(self) -> bool:
        """Whether it leaves out any token."""
        return bool(self.text or self.user or self.state is not TokenState.ALL)


def read_token_query(parameters: Mapping[str, str]) -> TokenQuery:
    """What a query string says; what is unusable counts as not given."""
    sort = parameters.get("sort", "")
    state = parameters.get("state", "")
    return TokenQuery(
        text=parameters.get("q", "").strip()[:TEXT_MAX],
        user=parameters.get("user", "").strip()[:TEXT_MAX],
        state=TokenState(state) if state in set(TokenState) else TokenState.ALL,
        sort=sort if sort.removeprefix("-") in SORTS else "-used",
        page=read_page(parameters.get("page", "")),
    )


def is_idle(token: TokenRecord, now: datetime) -> bool:
    """Whether nobody has used it for IDLE; one that was never used counts from when it was made."""
    return now - (token.last_used or token.created) >= IDLE


def is_expiring(token: TokenRecord, now: datetime) -> bool:
    """Whether it expires by itself within EXPIRING."""
    return token.expiry is not None and token.expiry - now <= EXPIRING


@dataclass(frozen=True, slots=True)
class ChosenTokens:
    """The tokens that fit a query: those of its page, and how many in all."""

    shown: tuple[TokenRecord, ...]
    fitting: int
    page: int
    pages: int
    idle: int
    """Of all tokens, whatever was asked for; likewise `expiring`."""
    expiring: int
    all: int
    users: tuple[str, ...]


def choose_shown(tokens: Sequence[TokenRecord], query: TokenQuery, now: datetime) -> ChosenTokens:
    """Filter, sort and cut; a page past the end is the last one."""
    fitting = sorted(
        (token for token in tokens if _fits(token, query, now)),
        key=_SORT_KEYS[query.sort.removeprefix("-")],
        reverse=query.sort.startswith("-"),
    )
    pages = max(1, -(-len(fitting) // ROWS))
    page = min(query.page, pages)
    return ChosenTokens(
        shown=tuple(fitting[(page - 1) * ROWS : page * ROWS]),
        fitting=len(fitting),
        page=page,
        pages=pages,
        idle=sum(is_idle(token, now) for token in tokens),
        expiring=sum(is_expiring(token, now) for token in tokens),
        all=len(tokens),
        users=tuple(sorted({token.email for token in tokens})),
    )


def _fits(token: TokenRecord, query: TokenQuery, now: datetime) -> bool:
    if query.user and token.email != query.user.lower():
        return False
    if query.state is TokenState.IDLE and not is_idle(token, now):
        return False
    if query.state is TokenState.EXPIRING and not is_expiring(token, now):
        return False
    wanted = query.text.casefold()
    texts = (token.name, token.id, token.email, token.last_address or "", token.user_agent)
    return not wanted or any(wanted in text.casefold() for text in texts)


_LATEST: Final = datetime.max.replace(tzinfo=UTC)
_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_SORT_KEYS: Final[Mapping[str, Callable[[TokenRecord], tuple[Any, str]]]] = {
    "name": lambda token: (token.name.casefold() or "\U0010ffff", token.id),
    "user": lambda token: (token.email, token.id),
    "created": lambda token: (token.created, token.id),
    "expiry": lambda token: (token.expiry or _LATEST, token.id),
    "used": lambda token: (token.last_used or _EARLIEST, token.id),
}
"""Ends in the id, so that the order is the same each time."""


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token as a row."""

    id: str
    name: str
    email: str
    created: Moment
    expiry: Moment | None
    used: Moment | None
    address: str
    client: str
    user_agent: str
    is_idle: bool
    is_expiring: bool
    spark: Chart | None


@dataclass(frozen=True, slots=True)
class Meter:
    """How many tokens the organization has of those it may have."""

    used: int
    limit: int

    @property
    def left(self) -> int:
        """How many more it may have; 0 also above the limit."""
        return max(0, self.limit - self.used)

    @property
    def level(self) -> str:
        """`full`, `near` (a fifth or less is left) or `fine`."""
        if self.left == 0:
            return "full"
        return "near" if self.left * 5 <= self.limit else "fine"

    @property
    def filled(self) -> int:
        """In hundredths; more than none as soon as there is one."""
        return 100 if self.limit == 0 else min(100, -(-100 * self.used // self.limit))


@dataclass(frozen=True, slots=True)
class SortHead:
    """A column's head: where a click leads, and how the column is sorted now."""

    key: str
    label: str
    url: str
    direction: str
    """As in `aria-sort`: ascending, descending or empty."""


@dataclass(frozen=True, slots=True)
class StateLink:
    """A choice among all, idle and expiring tokens."""

    state: TokenState
    label: str
    count: int
    url: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class TokensView:
    """The page `tokens.html`."""

    meter: Meter
    policy: LimitPolicy
    query: TokenQuery
    rows: tuple[TokenRow, ...]
    fitting: int
    all: int
    heads: tuple[SortHead, ...]
    states: tuple[StateLink, ...]
    users: tuple[str, ...]
    pages: PageLink
    verifications: Chart
    logins: Chart
    refusals: Chart
    clear_url: str
    idle_days: int


def tokens_view(
    language: Language,
    query: TokenQuery,
    chosen: ChosenTokens,
    usage: Usage,
    meter: Meter,
    policy: LimitPolicy,
    now: datetime,
) -> TokensView:
    """What the page shows of the tokens that were chosen by `choose_shown`."""
    states = (
        (TokenState.ALL, language.gettext("All"), chosen.all),
        (TokenState.IDLE, language.gettext("Idle"), chosen.idle),
        (TokenState.EXPIRING, language.gettext("Expiring soon"), chosen.expiring),
    )

    def drawn(counts: Sequence[int]) -> Chart:
        return chart(language, usage.first_day, counts, CHART_HEIGHT)

    return TokensView(
        meter=meter,
        policy=policy,
        query=query,
        rows=tuple(token_row(language, token, now, usage) for token in chosen.shown),
        fitting=chosen.fitting,
        all=chosen.all,
        heads=_heads(language, query),
        states=tuple(
            StateLink(state, label, count, query.url(state=state), query.state is state)
            for state, label, count in states
        ),
        users=chosen.users,
        pages=page_link(chosen.page, chosen.pages, lambda page: query.url(page=page)),
        verifications=drawn(usage.verifications),
        logins=drawn(usage.logins),
        refusals=drawn(usage.refusals),
        clear_url=query.url(text="", user="", state=TokenState.ALL),
        idle_days=IDLE.days,
    )


def token_row(language: Language, token: TokenRecord, now: datetime, usage: Usage | None = None) -> TokenRow:
    """A token as it is shown in any list."""
    counts = usage.per_token.get(token.id) if usage is not None else None
    return TokenRow(
        id=token.id,
        name=token.name,
        email=token.email,
        created=moment(language, token.created, now),
        expiry=moment(language, token.expiry, now) if token.expiry is not None else None,
        used=moment(language, token.last_used, now) if token.last_used is not None else None,
        address=token.last_address or "",
        client=client_name(token.user_agent),
        user_agent=token.user_agent,
        is_idle=is_idle(token, now),
        is_expiring=is_expiring(token, now),
        spark=chart(language, usage.first_day, counts, SPARK_HEIGHT)
        if usage is not None and counts is not None
        else None,
    )


def _heads(language: Language, query: TokenQuery) -> tuple[SortHead, ...]:
    labels = {
        "name": language.gettext("Token"),
        "user": language.gettext("User"),
        "used": language.gettext("Last used"),
        "created": language.gettext("Created"),
        "expiry": language.gettext("Expires"),
    }
    return tuple(_head(key, label, query) for key, label in labels.items())


def _head(key: str, label: str, query: TokenQuery) -> SortHead:
    is_current = query.sort.removeprefix("-") == key
    is_descending = query.sort.startswith("-")
    # First what one looks for first: the newest and the latest used, names from A.
    first = f"-{key}" if key in ("used", "created") else key
    other = key if is_descending else f"-{key}"
    direction = ("descending" if is_descending else "ascending") if is_current else ""
    return SortHead(key, label, query.url(sort=other if is_current else first), direction)
