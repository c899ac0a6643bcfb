"""Queries on tokens. A token is live while it has not expired and its owner may use it."""

from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Float, bindparam, delete, func, literal, or_, select, true

from nightlatch.model.names import Email, LimitPolicy, OrganizationId, Role, TokenId, UserId
from nightlatch.model.records import EndedToken, Page, TokenChoice, TokenOverview, TokenRecord
from nightlatch.model.standing import Identity, Standing
from nightlatch.model.token import TokenDigest
from nightlatch.store.columns import database_now, plus_seconds, row_offset
from nightlatch.store.connection import Connection
from nightlatch.store.tables import membership, organization, token, token_use, user

# Tokens with whom they are of.
USABLE = (
    token.join(
        membership,
        (membership.c.organization_id == token.c.organization_id) & (membership.c.user_id == token.c.user_id),
    )
    .join(user, user.c.id == token.c.user_id)
    .join(organization, organization.c.id == token.c.organization_id)
)


def _unexpired() -> ColumnElement[bool]:
    return or_(token.c.expiry.is_(None), token.c.expiry > database_now())


def live() -> list[ColumnElement[bool]]:
    """That a token among USABLE ones is live."""
    return [
        _unexpired(),
        user.c.disabled.is_(None),
        organization.c.closed.is_(None),
    ]


# A live token with its holder: what may be accepted, and remembered.
STANDING = (
    select(
        token.c.id, token.c.organization_id, token.c.user_id, user.c.email, membership.c.role, token.c.expiry
    )
    .select_from(USABLE)
    .where(token.c.digest == bindparam("digest"), *live())
)


def read_row(row: Any) -> Standing:
    """The standing that a row of STANDING tells."""
    return Standing(
        TokenId(row.id),
        Identity(OrganizationId(row.organization_id), UserId(row.user_id), Email(row.email), Role(row.role)),
        row.expiry,
    )


async def find_standing(connection: Connection, digest: TokenDigest) -> Standing | None:
    """What is known of the token now: None if it is not live."""
    row = (await connection.execute(STANDING, {"digest": digest.value})).one_or_none()
    return None if row is None else read_row(row)


async def find_first_standing(
    connection: Connection, digests: Sequence[TokenDigest]
) -> tuple[TokenDigest, Standing | None]:
    """The first of several digests, at least one, that a live token has, and what is known of it."""
    for digest in digests:
        standing = await find_standing(connection, digest)
        if standing is not None:
            return digest, standing
    return digests[0], None


def chosen(organization_id: OrganizationId, user_id: UserId | None) -> list[ColumnElement[bool]]:
    """The organization filter: every query on an organization's tokens goes through it."""
    conditions = [token.c.organization_id == organization_id]
    if user_id is not None:
        conditions.append(token.c.user_id == user_id)
    return conditions


def _record(row: Any) -> TokenRecord:
    return TokenRecord(
        id=TokenId(row.id),
        name=row.name,
        email=Email(row.email),
        created=row.created,
        expiry=row.expiry,
        last_used=row.used,
        last_address=row.address,
        user_agent=row.user_agent,
    )


_LISTED: Final = select(
    token.c.id,
    token.c.name,
    user.c.email,
    token.c.created,
    token.c.expiry,
    token_use.c.used,
    token_use.c.address,
    token.c.user_agent,
).select_from(USABLE.outerjoin(token_use, token_use.c.token_id == token.c.id))


async def list_live_tokens(
    connection: Connection,
    organization_id: OrganizationId,
    user_id: UserId | None,
    limit: int,
    offset: int,
) -> Page[TokenRecord]:
    """Live tokens of the organization, or of one user in it; oldest first."""
    conditions = [*chosen(organization_id, user_id), *live()]
    count = select(func.count()).select_from(USABLE).where(*conditions)
    rows = (
        _LISTED.where(*conditions)
        .order_by(token.c.created, token.c.id)
        .limit(limit)
        .offset(row_offset(offset))
    )
    total = (await connection.execute(count)).scalar_one()
    return Page(tuple(_record(row) for row in await connection.execute(rows)), total)


async def read_overview(
    connection: Connection, organization_id: OrganizationId, user_id: UserId | None
) -> TokenOverview:
    """All live tokens of the organization, or of one user in it, beside its limit; in one statement."""
    of_organization = select(func.count()).select_from(USABLE).where(*chosen(organization_id, None), *live())
    listed = _LISTED.where(*chosen(organization_id, user_id), *live()).subquery()
    query = (
        select(
            organization.c.token_limit,
            organization.c.limit_policy,
            organization.c.time_to_live,
            of_organization.scalar_subquery().label("live"),
            *listed.c,
        )
        .select_from(organization.outerjoin(listed, true()))
        .where(organization.c.id == organization_id)
    )
    rows = (await connection.execute(query)).all()
    first = rows[0]
    return TokenOverview(
        tuple(_record(row) for row in rows if row.id is not None),
        first.live,
        first.token_limit,
        LimitPolicy(first.limit_policy),
        first.time_to_live,
    )


async def list_chosen_tokens(
    connection: Connection, organization_id: OrganizationId, user_id: UserId | None, choice: TokenChoice
) -> tuple[TokenRecord, ...]:
    """Of the same tokens those that fit everything chosen that is not None; oldest first."""
    conditions = [*chosen(organization_id, user_id), *live()]
    if choice.ids is not None:
        conditions.append(token.c.id.in_(sorted(choice.ids)))
    if choice.email is not None:
        conditions.append(user.c.email == choice.email)
    if choice.idle_days is not None:
        idle_since = plus_seconds(database_now(), literal(-86_400.0 * choice.idle_days, Float))
        # What was never used is idle since it was made.
        conditions.append(func.coalesce(token_use.c.used, token.c.created) < idle_since)
    rows = await connection.execute(_LISTED.where(*conditions).order_by(token.c.created, token.c.id))
    return tuple(_record(row) for row in rows)


async def find_live_token(
    connection: Connection, organization_id: OrganizationId, user_id: UserId | None, token_id: TokenId
) -> bool:
    """Whether that token is live, in that organization, and (where given) that user's."""
    query = (
        select(token.c.id)
        .select_from(USABLE)
        .where(*chosen(organization_id, user_id), token.c.id == token_id, *live())
    )
    return (await connection.execute(query)).one_or_none() is not None


_RETURNED = (token.c.id, token.c.organization_id, token.c.user_id)


async def _delete(connection: Connection, *conditions: ColumnElement[bool]) -> list[EndedToken]:
    # Rows in the order of their ids, so that two deletions never wait for each other in a circle.
    chosen = select(token.c.id).where(*conditions).order_by(token.c.id).with_for_update()
    rows = await connection.execute(delete(token).where(token.c.id.in_(chosen)).returning(*_RETURNED))
    return [
        EndedToken(TokenId(row.id), OrganizationId(row.organization_id), UserId(row.user_id)) for row in rows
    ]


_DELETE_ONE = delete(token).where(token.c.digest == bindparam("digest")).returning(*_RETURNED)


async def delete_token(connection: Connection, digest: TokenDigest) -> bool:
    """Delete the token with that digest; False if it was gone."""
    return (await connection.execute(_DELETE_ONE, {"digest": digest.value})).one_or_none() is not None


async def delete_token_by_id(
    connection: Connection, organization_id: OrganizationId, token_id: TokenId
) -> list[EndedToken]:
    """Delete one token of the organization."""
    return await _delete(connection, *chosen(organization_id, None), token.c.id == token_id)


async def delete_tokens_by_id(
    connection: Connection, organization_id: OrganizationId, token_ids: Collection[TokenId]
) -> list[EndedToken]:
    """Delete those tokens of the organization."""
    return await _delete(connection, *chosen(organization_id, None), token.c.id.in_(sorted(token_ids)))


async def delete_tokens_in_organization(
    connection: Connection, organization_id: OrganizationId, user_id: UserId | None
) -> list[EndedToken]:
    """Delete all tokens of the organization, or of one user in it."""
    return await _delete(connection, *chosen(organization_id, user_id))


# As the database's trigger counts.
_LIVE_COUNT = (
    select(func.count())
    .select_from(token)
    .where(token.c.organization_id == bindparam("organization_id"), _unexpired())
)


async def make_place(
    connection: Connection, organization_id: OrganizationId, token_limit: int, by_use: bool
) -> list[EndedToken]:
    """Delete as many live tokens as leave room for one more below that limit; the caller has locked
    the organization.

    The oldest go first; with `by_use` those that were used least recently, by what has been written of
    their use, and else by their creation.
    """
    count: int = (await connection.execute(_LIVE_COUNT, {"organization_id": organization_id})).scalar_one()
    moment = func.coalesce(token_use.c.used, token.c.created) if by_use else token.c.created
    surplus = (
        select(token.c.id)
        .select_from(token.outerjoin(token_use, token_use.c.token_id == token.c.id))
        .where(*chosen(organization_id, None), _unexpired())
        .order_by(moment, token.c.created, token.c.id)
        .limit(max(0, count - token_limit + 1))
    )
    return await _delete(connection, token.c.id.in_(surplus))


async def delete_tokens_of_user(connection: Connection, user_id: UserId) -> list[EndedToken]:
    """Delete all tokens of the user, in every organization."""
    return await _delete(connection, token.c.user_id == user_id)
