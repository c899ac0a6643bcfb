"""Queries on child tokens. One is live while it has not expired, and its parent is live."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, bindparam, delete, func, insert, select
from sqlalchemy.exc import IntegrityError

from nightlatch.model.errors import ChildTokenLimitReached
from nightlatch.model.names import Email, OrganizationId, Role, TokenId, UserId
from nightlatch.model.records import ChildTokenRecord, EndedChild, Page
from nightlatch.model.scope import Scope, StoredScope, read_scope, store_scope
from nightlatch.model.standing import Descent, Identity, Standing
from nightlatch.model.token import PlainToken, TokenDigest
from nightlatch.store.columns import database_now, database_now_plus, earlier_of, row_offset
from nightlatch.store.connection import Connection
from nightlatch.store.failures import violated_constraint
from nightlatch.store.tables import child_token, membership, organization, token, user
from nightlatch.store.tokens import USABLE, chosen, live

_USABLE: Final = USABLE.join(child_token, child_token.c.parent_id == token.c.id)


def _live() -> list[ColumnElement[bool]]:
    # The database keeps a child from outliving its parent; the parent is looked at all the same.
    return [child_token.c.expiry > database_now(), *live()]


# A live child token with its holder and its scope: what may be remembered.
CHILD_STANDING: Final = (
    select(
        child_token.c.id,
        token.c.organization_id,
        token.c.user_id,
        user.c.email,
        membership.c.role,
        child_token.c.expiry,
        token.c.digest.label("parent_digest"),
        child_token.c.methods,
        child_token.c.paths,
        child_token.c.origin,
        child_token.c.networks,
    )
    .select_from(_USABLE)
    .where(child_token.c.digest == bindparam("digest"), *_live())
)


def _scope(row: Any) -> Scope:
    return read_scope(StoredScope(row.methods, row.paths, row.origin, row.networks))


def read_child_row(row: Any) -> Standing:
    """The standing that a row of CHILD_STANDING tells."""
    return Standing(
        TokenId(row.id),
        Identity(OrganizationId(row.organization_id), UserId(row.user_id), Email(row.email), Role(row.role)),
        row.expiry,
        Descent(TokenDigest(row.parent_digest), _scope(row)),
    )


async def find_child_standing(connection: Connection, digest: TokenDigest) -> Standing | None:
    """What is known of the child token now: None if there is no live one with that digest."""
    row = (await connection.execute(CHILD_STANDING, {"digest": digest.value})).one_or_none()
    return None if row is None else read_child_row(row)


@dataclass(frozen=True, slots=True)
class Parent:
    """A live token that may be given a child now, and for how many seconds at most a child may live."""

    token_id: TokenId
    expiry: datetime | None
    time_to_live: int


# Locks organization, membership, user, then the token, in the order of a login that ends tokens to make
# place: raw SQL that changes one of them meanwhile, and has written down already which tokens that concerns,
# is waited for. A bare FOR UPDATE would make those who write the use of tokens pass over this one.
_LOCK_PARENT: Final = (
    select(token.c.id, token.c.expiry, organization.c.child_time_to_live)
    .select_from(USABLE)
    .where(token.c.id == bindparam("parent_id"), *live())
    .with_for_update(key_share=True, of=[organization, membership, user, token])
)


async def lock_parent(connection: Connection, token_id: TokenId) -> Parent | None:
    """The token, locked to the end of the transaction; None if it is not live any more."""
    row = (await connection.execute(_LOCK_PARENT, {"parent_id": token_id})).one_or_none()
    return None if row is None else Parent(TokenId(row.id), row.expiry, row.child_time_to_live)


@dataclass(frozen=True, slots=True)
class NewChildToken:
    """A child token about to be stored; `time_to_live` in seconds."""

    token: PlainToken
    name: str
    scope: Scope
    time_to_live: int


async def insert_child_token(
    connection: Connection, organization_id: OrganizationId, parent: Parent, new: NewChildToken
) -> datetime:
    """Store a child of a parent that the caller has locked; when it expires: with its parent at the latest.

    Raises ChildTokenLimitReached when the database refuses one more.
    """
    stored = store_scope(new.scope)
    expiry: ColumnElement[datetime] = database_now_plus(new.time_to_live)
    if parent.expiry is not None:
        expiry = earlier_of(expiry, bindparam("parent_expiry", parent.expiry, child_token.c.expiry.type))
    statement = insert(child_token).values(
        id=new.token.id,
        digest=new.token.digest.value,
        parent_id=parent.token_id,
        name=new.name,
        created=database_now(),
        expiry=expiry,
        methods=stored.methods,
        paths=stored.paths,
        origin=stored.origin,
        networks=stored.networks,
    )
    try:
        ends: datetime = (await connection.execute(statement.returning(child_token.c.expiry))).scalar_one()
    except IntegrityError as error:
        if violated_constraint(error) == "child_token_limit_reached":
            raise ChildTokenLimitReached(organization_id) from None
        raise
    return ends


def _record(row: Any) -> ChildTokenRecord:
    return ChildTokenRecord(
        id=TokenId(row.id),
        parent_id=TokenId(row.parent_id),
        name=row.name,
        email=Email(row.email),
        created=row.created,
        expiry=row.expiry,
        scope=_scope(row),
    )


def _records(organization_id: OrganizationId, *conditions: ColumnElement[bool]) -> Select[Any]:
    return (
        select(child_token, user.c.email)
        .select_from(_USABLE)
        .where(*chosen(organization_id, None), *conditions, *_live())
        .order_by(child_token.c.created, child_token.c.id)
    )


async def list_children(
    connection: Connection, organization_id: OrganizationId, parent_id: TokenId, limit: int, offset: int
) -> Page[ChildTokenRecord]:
    """Live children of that token of the organization, oldest first."""
    rows = _records(organization_id, child_token.c.parent_id == parent_id)
    count = select(func.count()).select_from(rows.order_by(None).subquery())
    total = (await connection.execute(count)).scalar_one()
    page = rows.limit(limit).offset(row_offset(offset))
    return Page(tuple(_record(row) for row in await connection.execute(page)), total)


async def list_children_in_organization(
    connection: Connection, organization_id: OrganizationId
) -> tuple[ChildTokenRecord, ...]:
    """All live child tokens of the organization, oldest first."""
    return tuple(_record(row) for row in await connection.execute(_records(organization_id)))


async def find_live_child(
    connection: Connection, organization_id: OrganizationId, user_id: UserId | None, token_id: TokenId
) -> bool:
    """Whether that child token is live, in that organization, and (where given) that user's."""
    query = (
        select(child_token.c.id)
        .select_from(_USABLE)
        .where(*chosen(organization_id, user_id), child_token.c.id == token_id, *_live())
    )
    return (await connection.execute(query)).one_or_none() is not None


async def delete_child(
    connection: Connection, organization_id: OrganizationId, token_id: TokenId
) -> EndedChild | None:
    """Delete one child token of the organization; None if there was none."""
    parents = (
        select(token.c.id, token.c.user_id)
        .select_from(token.join(child_token, child_token.c.parent_id == token.c.id))
        .where(*chosen(organization_id, None), child_token.c.id == token_id)
    )
    parent = (await connection.execute(parents)).one_or_none()
    if parent is None:
        return None
    statement = delete(child_token).where(child_token.c.id == token_id).returning(child_token.c.id)
    if (await connection.execute(statement)).one_or_none() is None:
        return None
    return EndedChild(token_id, organization_id, UserId(parent.user_id), TokenId(parent.id))
