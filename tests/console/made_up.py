"""An organization as it may look after a month: members, 20 tokens with their use, 10,000 events.

Made up, and the same each time but for the ids; nobody is meant. It is inserted, not lived.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Table, insert, select

from nightlatch.model.names import Role, TokenId, UserId, generate_organization_id
from nightlatch.model.token import generate_token
from nightlatch.store import tables
from tests.accounts import Accounts, Person

EVENTS: Final = 10_000
TOKENS: Final = 20
NAME: Final = "Northwind Media"
ANN: Final = "ann.meyer@northwind.example"
_PEOPLE: Final = (
    (ANN, Role.OWNER, 210),
    ("bo.lindqvist@northwind.example", Role.OWNER, 204),
    ("chidi.okafor@northwind.example", Role.MEMBER, 160),
    ("dana.petrova@northwind.example", Role.MEMBER, 93),
    ("elif.kaya@contractors.example", Role.MEMBER, 12),
)
_SERVICES: Final = ("192.0.2.14", "192.0.2.31", "198.51.100.7", "203.0.113.42", "2001:db8:40::17")
_CHROME: Final = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/142.0.0.0 Safari/537.36"
)
_FIREFOX: Final = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
# Name, whose, made so many days ago, used so many hours ago, uses on a day, program.
_TOKENS: Final = (
    ("nightly export", 0, 24.0, 7.1, 40, "python-requests/2.32.3"),
    ("web player, production", 1, 21.0, 0.0, 9000, "axios/1.7.9"),
    ("ingest worker 1", 1, 18.5, 0.01, 2600, "nightlatch-client/0.1 python/3.12"),
    ("ingest worker 2", 1, 18.5, 0.02, 2500, "nightlatch-client/0.1 python/3.12"),
    ("grafana", 2, 28.2, 0.05, 1440, "Grafana/11.4.0"),
    ("deploy pipeline", 2, 11.0, 2.6, 90, "curl/8.5.0"),
    ("staging, web player", 2, 9.0, 5.0, 700, "axios/1.7.9"),
    ("Chidi's laptop", 2, 3.0, 21.0, 25, "curl/8.5.0"),
    ("subtitle importer", 3, 26.0, 90.0, 60, "ruby/3.3 faraday/2.12"),
    ("partner feed: Contoso", 1, 27.4, 10.0, 480, "Go-http-client/1.1"),
    ("old laptop", 0, 28.6, 26.5 * 24, 12, "curl/7.88.1"),
    ("load test, March", 2, 27.9, 27.2 * 24, 5000, "k6/0.56.0"),
    ("webhook relay", 3, 15.0, 0.3, 310, "node"),
    ("mail digest", 0, 20.0, 17.0, 4, "PHP/8.3 Guzzle/7"),
    ("search indexer", 3, 13.0, 0.6, 800, "okhttp/4.12.0"),
    ("", 4, 10.0, 8.9 * 24, 3, "PostmanRuntime/7.43.0"),
    ("backup check", 1, 29.2, 30.0, 2, "curl/8.5.0"),
    ("mobile app, beta", 4, 6.0, 1.2, 150, "okhttp/4.12.0"),
    ("trial of the new SDK", 4, 16.5, None, 0, ""),
    ("Elif's laptop", 4, 1.1, 4.0, 18, "python-httpx/0.28.1"),
)
_KINDS: Final = (
    *(["login"] * 60 + ["login_refused"] * 9 + ["logout"] * 14 + ["token_created"] * 4),
    *(["signed_in"] * 8 + ["signed_out"] * 5 + ["token_revoked"] * 4 + ["throttled"] + ["password_changed"]),
)


@dataclass(frozen=True, slots=True)
class Made:
    """What was made: an owner, whose other tokens and events are there as well."""

    owner: Person
    tokens: tuple[TokenId, ...]


def make_up(accounts: Accounts, tokens: int = TOKENS, events: int = EVENTS, email: str = ANN) -> Made:
    """A new organization with so many tokens and events; `email` is its first owner's."""
    chance = random.Random(8)
    now = datetime.now(UTC)
    organization_id = generate_organization_id()
    others = [each for each, _, _ in _PEOPLE[1:]]
    if email != ANN:
        # In a database where these are members of another organization.
        others = [each.replace("@", f"@{organization_id}.") for each in others]
    emails = [email, *others]
    _insert(
        accounts,
        tables.organization,
        [
            {
                "id": organization_id,
                "name": NAME,
                "token_limit": TOKENS,
                "time_to_live": 30 * 24 * 3600,
                "created": now - timedelta(days=_PEOPLE[0][2]),
            }
        ],
    )
    (password_hash,) = accounts.sql(
        'SELECT password_hash FROM "user" WHERE email = :email', email=accounts.add_person().username
    )[0]
    joined = [now - timedelta(days=days) for _, _, days in _PEOPLE]
    _insert(
        accounts,
        tables.user,
        [
            {"email": each, "password_hash": password_hash, "created": since}
            for each, since in zip(emails, joined, strict=True)
        ],
    )
    ids = _ids(accounts, emails)
    _insert(
        accounts,
        tables.membership,
        [
            {"organization_id": organization_id, "user_id": user_id, "role": role.value, "created": since}
            for user_id, (_, role, _), since in zip(ids, _PEOPLE, joined, strict=True)
        ],
    )
    made = [generate_token() for _ in _TOKENS[:tokens]]
    rows: dict[Table, list[dict[str, Any]]] = {tables.token: [], tables.token_use: [], tables.token_usage: []}
    for token, (name, whose, made_days, used_hours, daily, agent) in zip(made, _TOKENS, strict=False):
        created = now - timedelta(days=made_days)
        rows[tables.token].append(
            {
                "id": token.id,
                "digest": token.digest.value,
                "organization_id": organization_id,
                "user_id": ids[whose],
                "name": name,
                "user_agent": agent,
                "created": created,
                "expiry": created + timedelta(days=30),
            }
        )
        if used_hours is None:
            continue
        used = now - timedelta(hours=used_hours)
        address = chance.choice(_SERVICES)
        rows[tables.token_use].append({"token_id": token.id, "used": used, "address": address})
        rows[tables.token_usage] += _usage(chance, organization_id, token.id, created, used, daily)
    token_ids = [each.id for each in made]
    rows[tables.event] = _events(chance, events, organization_id, emails, ids, token_ids, now)
    for table, values in rows.items():
        _insert(accounts, table, values)
    return Made(Person(organization_id, email), tuple(token_ids))


def _usage(
    chance: random.Random, organization_id: str, token_id: str, since: datetime, until: datetime, daily: int
) -> list[dict[str, Any]]:
    found = []
    day = max(since, until - timedelta(days=40))
    while day.date() <= until.date():
        quiet = 0.35 if day.weekday() >= 5 else 1.0
        uses = int(daily * quiet * chance.uniform(0.6, 1.3))
        number = (day.date() - datetime(1970, 1, 1, tzinfo=UTC).date()).days
        if uses:
            found.append(
                {"organization_id": organization_id, "day": number, "token_id": token_id, "uses": uses}
            )
        day += timedelta(days=1)
    return found


def _events(
    chance: random.Random,
    count: int,
    organization_id: str,
    emails: Sequence[str],
    ids: Sequence[UserId],
    tokens: Sequence[TokenId],
    now: datetime,
) -> list[dict[str, Any]]:
    """Over 30 days, fewer on weekends, in the order in which they happened."""
    moments: list[datetime] = []
    while len(moments) < count:
        at = now - timedelta(seconds=chance.uniform(60, 30 * 24 * 3600))
        if at.weekday() < 5 or chance.random() < 0.3:
            moments.append(at)
    found = []
    for at in sorted(moments):
        kind = chance.choice(_KINDS)
        who = chance.choices(range(len(emails)), (5, 6, 4, 3, 2))[0]
        is_known = kind not in ("login_refused", "throttled")
        in_browser = kind.startswith("signed") or kind in ("token_created", "password_changed")
        has_token = bool(tokens) and kind in ("login", "logout", "token_created", "token_revoked")
        found.append(
            {
                "at": at,
                "kind": kind,
                "organization_id": organization_id,
                "actor": "user" if is_known else "anonymous",
                "actor_user_id": ids[who] if is_known else None,
                "actor_email": emails[who] if is_known else None,
                "user_id": ids[who],
                "email": emails[who],
                "token_id": chance.choice(tokens) if has_token else None,
                "address": chance.choice(_SERVICES),
                "user_agent": chance.choice((_CHROME, _FIREFOX)) if in_browser else "python-requests/2.32.3",
                "detail": '{"reason": "wrong_password"}' if kind == "login_refused" else "{}",
                "count": 1,
            }
        )
    return found


def _ids(accounts: Accounts, emails: Sequence[str]) -> list[UserId]:
    async def call() -> list[UserId]:
        async with accounts.engines.reading.connect() as connection:
            result = await connection.execute(select(tables.user.c.email, tables.user.c.id))
            found = {row.email: UserId(row.id) for row in result.all()}
            return [found[email] for email in emails]

    return accounts.run(call())


def _insert(accounts: Accounts, table: Table, values: Sequence[Mapping[str, Any]]) -> None:
    async def call() -> None:
        async with accounts.engines.writing.begin() as connection:
            # One statement for many rows; PostgreSQL takes at most 32,767 values in one.
            for start in range(0, len(values), 1000):
                await connection.execute(
                    insert(table).values([dict(each) for each in values[start : start + 1000]])
                )

    accounts.run(call())
