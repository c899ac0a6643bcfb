"""Queries on what was imported from another service."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import String, bindparam, cast, delete, func, insert, or_, select, update

from nightlatch.model.imported import ImportedKind
from nightlatch.model.names import Email, OrganizationId, Role, TokenId, UserId
from nightlatch.model.records import Organization
from nightlatch.model.token import TokenDigest, generate_token_id
from nightlatch.store.columns import database_now, joined_lines
from nightlatch.store.connection import Connection
from nightlatch.store.organizations import read_organization
from nightlatch.store.tables import imported, imported_kind, membership, organization, token, user

_LINE: Final = (
    imported_kind.c.algorithm + " " + cast(imported_kind.c.characters, String) + " " + imported_kind.c.prefix
)
IMPORTED_KINDS: Final = select(joined_lines(_LINE)).select_from(imported_kind).scalar_subquery()
"""All kinds in one text, a line for each (model.imported.read_kinds); null where nothing was imported."""

RECORD_BYTES: Final = 32
"""Of what is recorded of others than tokens."""
_IMPORTED_DIGEST_BYTES: Final = 64


async def insert_kinds(connection: Connection, kinds: Iterable[ImportedKind]) -> None:
    """Have processes look up tokens of these kinds too; it is known everywhere as a token's end would be."""
    rows = await connection.execute(select(imported_kind))
    known = {(row.algorithm, row.prefix, row.characters) for row in rows}
    new: Sequence[dict[str, object]] = [
        {"algorithm": kind.algorithm.value, "prefix": kind.prefix, "characters": kind.characters}
        for kind in kinds
        if (kind.algorithm.value, kind.prefix, kind.characters) not in known
    ]
    if new:
        await connection.execute(insert(imported_kind), new)


# --- what there is --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FoundUser:
    """A user as an import compares one with the source."""

    id: UserId
    disabled: bool
    password_version: int
    password_hash: str = field(repr=False)


async def find_recorded(connection: Connection, digests: Sequence[bytes]) -> set[bytes]:
    """Which of them were imported before, whether or not they are still there."""
    rows = await connection.execute(select(imported.c.digest).where(imported.c.digest.in_(digests)))
    return {row.digest for row in rows}


async def find_present(connection: Connection, digests: Sequence[bytes]) -> set[bytes]:
    """Which of them are digests of tokens, expired or not."""
    rows = await connection.execute(select(token.c.digest).where(token.c.digest.in_(digests)))
    return {row.digest for row in rows}


async def find_organizations(
    connection: Connection, organization_ids: Sequence[OrganizationId], lock: bool
) -> dict[OrganizationId, Organization]:
    """Those there are; with `lock` locked to the end of the transaction, in the order of their ids."""
    query = select(organization).where(organization.c.id.in_(organization_ids)).order_by(organization.c.id)
    rows = await connection.execute(query.with_for_update() if lock else query)
    return {OrganizationId(row.id): read_organization(row) for row in rows}


async def find_users(connection: Connection, emails: Sequence[Email]) -> dict[Email, FoundUser]:
    """Those there are, by e-mail address."""
    rows = await connection.execute(
        select(user.c.id, user.c.email, user.c.disabled, user.c.password_version, user.c.password_hash).where(
            user.c.email.in_(emails)
        )
    )
    return {
        Email(row.email): FoundUser(
            UserId(row.id), row.disabled is not None, row.password_version, row.password_hash
        )
        for row in rows
    }


async def find_members(
    connection: Connection, user_ids: Sequence[UserId]
) -> set[tuple[OrganizationId, UserId]]:
    """The memberships of these users."""
    rows = await connection.execute(
        select(membership.c.organization_id, membership.c.user_id).where(membership.c.user_id.in_(user_ids))
    )
    return {(OrganizationId(row.organization_id), UserId(row.user_id)) for row in rows}


async def count_live(
    connection: Connection, organization_ids: Sequence[OrganizationId]
) -> dict[OrganizationId, int]:
    """How many live tokens each of them has, as the limit counts them; those with none are left out."""
    rows = await connection.execute(
        select(token.c.organization_id, func.count().label("live"))
        .where(
            token.c.organization_id.in_(organization_ids),
            or_(token.c.expiry.is_(None), token.c.expiry > database_now()),
        )
        .group_by(token.c.organization_id)
    )
    return {OrganizationId(row.organization_id): row.live for row in rows}


@dataclass(frozen=True, slots=True)
class FoundToken:
    """A token that was imported."""

    organization_id: OrganizationId
    expiry: datetime | None
    live: bool


async def list_imported_tokens(connection: Connection, source: str) -> dict[bytes, FoundToken]:
    """All tokens that came from there and have not been ended, by digest; they may have expired."""
    live = or_(token.c.expiry.is_(None), token.c.expiry > database_now()).label("live")
    rows = await connection.execute(
        select(token.c.digest, token.c.organization_id, token.c.expiry, live)
        .join(imported, imported.c.digest == token.c.digest)
        .where(imported.c.source == source)
    )
    return {
        row.digest: FoundToken(OrganizationId(row.organization_id), row.expiry, bool(row.live))
        for row in rows
    }


async def list_recorded(connection: Connection, source: str) -> set[bytes]:
    """What is recorded of all users and memberships that came from there."""
    rows = await connection.execute(
        select(imported.c.digest).where(
            imported.c.source == source, func.length(imported.c.digest) == RECORD_BYTES
        )
    )
    return {row.digest for row in rows}


# --- what comes -----------------------------------------------------------------------------------


async def record(connection: Connection, digests: Iterable[bytes], source: str) -> None:
    """Remember that they were imported, for good."""
    rows = [{"digest": digest, "source": source} for digest in digests]
    if rows:
        await connection.execute(_RECORD, rows)


async def insert_users(
    connection: Connection, users: Sequence[tuple[Email, str, bool]], now: datetime
) -> None:
    """New users: e-mail address, password hash, whether active."""
    await connection.execute(
        _INSERT_USER,
        [
            {"email": email, "password_hash": hashed, "created": now, "disabled": None if active else now}
            for email, hashed, active in users
        ],
    )


async def insert_members(
    connection: Connection, members: Sequence[tuple[OrganizationId, UserId, Role]], now: datetime
) -> None:
    """New memberships; the caller has locked the organizations."""
    await connection.execute(
        _INSERT_MEMBER,
        [
            {"organization_id": organization_id, "user_id": user_id, "role": role.value, "created": now}
            for organization_id, user_id, role in members
        ],
    )


@dataclass(frozen=True, slots=True)
class ImportedRow:
    """A token to be stored that somebody has already."""

    digest: TokenDigest
    organization_id: OrganizationId
    user_id: UserId
    created: datetime
    expiry: datetime | None


async def insert_tokens(connection: Connection, tokens: Sequence[ImportedRow], name: str) -> None:
    """New tokens, each with an id of its own; the caller has locked the organizations and made room."""
    await connection.execute(
        _INSERT_TOKEN,
        [
            {
                "id": generate_token_id(),
                "digest": new.digest.value,
                "organization_id": new.organization_id,
                "user_id": new.user_id,
                "name": name,
                "created": new.created,
                "expiry": new.expiry,
            }
            for new in tokens
        ],
    )


@asynccontextmanager
async def room_for(
    connection: Connection, organizations: Iterable[Organization], wanted: Mapping[OrganizationId, int]
) -> AsyncIterator[None]:
    """Within the block so many more tokens fit into these organizations, which the caller has locked.

    Their limits are as before when it ends, and nobody else sees others: the rows stay locked to the end
    of the transaction, and whoever gives out a token has to lock them.
    """
    live = await count_live(connection, [each.id for each in organizations])
    tight = [each for each in organizations if live.get(each.id, 0) + wanted[each.id] > each.token_limit]
    for each in tight:
        await _set_limit(connection, each.id, live.get(each.id, 0) + wanted[each.id])
    yield
    for each in tight:
        await _set_limit(connection, each.id, each.token_limit)


async def _set_limit(connection: Connection, organization_id: OrganizationId, token_limit: int) -> None:
    await connection.execute(_SET_LIMIT, {"of_organization": organization_id, "new_limit": token_limit})


# --- what has changed there -----------------------------------------------------------------------


async def set_expiry(connection: Connection, digest: bytes, expiry: datetime | None) -> None:
    """Move a token's expiry."""
    await connection.execute(_SET_EXPIRY, {"of_digest": digest, "new_expiry": expiry})


async def follow_password(connection: Connection, user_id: UserId, before: str, after: str) -> int | None:
    """Replace the password's hash if it is still that one; the password's new version, None if it is not."""
    rows = await connection.execute(
        update(user)
        .where(user.c.id == user_id, user.c.password_hash == before)
        .values(password_hash=after, password_version=user.c.password_version + 1)
        .returning(user.c.password_version)
    )
    return rows.scalar_one_or_none()


async def delete_native_tokens(
    connection: Connection, user_ids: Sequence[UserId]
) -> dict[UserId, list[TokenId]]:
    """Delete the tokens of these users that were given out here; the caller has locked the users."""
    rows = await connection.execute(
        delete(token)
        .where(token.c.user_id.in_(user_ids), func.length(token.c.digest) != _IMPORTED_DIGEST_BYTES)
        .returning(token.c.user_id, token.c.id)
    )
    ended: dict[UserId, list[TokenId]] = {}
    for row in rows:
        ended.setdefault(UserId(row.user_id), []).append(TokenId(row.id))
    return ended


_RECORD: Final = insert(imported).values(digest=bindparam("digest"), source=bindparam("source"))
_INSERT_USER: Final = insert(user).values(
    {name: bindparam(name) for name in ("email", "password_hash", "created", "disabled")}
)
_INSERT_MEMBER: Final = insert(membership).values(
    {name: bindparam(name) for name in ("organization_id", "user_id", "role", "created")}
)
_INSERT_TOKEN: Final = insert(token).values(
    {
        name: bindparam(name)
        for name in ("id", "digest", "organization_id", "user_id", "name", "created", "expiry")
    }
)
_SET_LIMIT: Final = (
    update(organization)
    .where(organization.c.id == bindparam("of_organization"))
    .values(token_limit=bindparam("new_limit"))
)
_SET_EXPIRY: Final = (
    update(token).where(token.c.digest == bindparam("of_digest")).values(expiry=bindparam("new_expiry"))
)
