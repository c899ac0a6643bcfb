"""Queries on sessions. One is live until it expires, idles too long, or its user is shut out."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Integer,
    LargeBinary,
    bindparam,
    delete,
    insert,
    select,
    true,
    update,
)

from nightlatch.model.names import Email, OrganizationId, Role, UserId
from nightlatch.model.origin import Origin
from nightlatch.model.secret import Secret
from nightlatch.model.session import Session, SessionId, SessionLimits, SessionRecord, generate_session_id
from nightlatch.model.standing import Identity
from nightlatch.store.columns import database_now, database_now_plus
from nightlatch.store.connection import Connection
from nightlatch.store.pulse import database_pulse
from nightlatch.store.snapshots import SNAPSHOT, read_snapshot
from nightlatch.store.tables import change_counter, membership, organization, session, user

SESSIONS_MAX: Final = 20
"""Of one user: more browsers than anybody has at hand."""

_USABLE: Final = (
    session.join(
        membership,
        (membership.c.organization_id == session.c.organization_id)
        & (membership.c.user_id == session.c.user_id),
    )
    .join(user, user.c.id == session.c.user_id)
    .join(organization, organization.c.id == session.c.organization_id)
)


def _live() -> list[ColumnElement[bool]]:
    """That a session among _USABLE ones is live; `idle` is in seconds."""
    return [
        session.c.expiry > database_now(),
        session.c.used > database_now_plus(-bindparam("idle", type_=Integer)),
        user.c.disabled.is_(None),
        organization.c.closed.is_(None),
    ]


_LIVE: Final = (
    select(
        session.c.id,
        session.c.organization_id,
        organization.c.name,
        session.c.user_id,
        user.c.email,
        membership.c.role,
        session.c.used,
        session.c.confirmed,
        session.c.expiry,
    )
    .select_from(_USABLE)
    .where(session.c.digest == bindparam("digest"), *_live())
    .subquery()
)
# With the pulse: a primary that was deposed cannot tell that a session has ended, and raises instead.
_FIND: Final = select(*SNAPSHOT, *_LIVE.c, database_pulse()).select_from(
    change_counter.outerjoin(_LIVE, onclause=true())
)


async def find_session(connection: Connection, digest: bytes, limits: SessionLimits) -> Session | None:
    """The live session with that digest, as it is now: never from memory, nor from what is no primary.

    Raises StoreUnavailable.
    """
    parameters = {"digest": digest, "idle": int(limits.idle.total_seconds())}
    row = (await connection.execute(_FIND, parameters)).one()
    read_snapshot(row.epoch, row.head, row.now.timestamp(), row.lease_milliseconds)
    if row.id is None:
        return None
    identity = Identity(
        OrganizationId(row.organization_id), UserId(row.user_id), Email(row.email), Role(row.role)
    )
    return Session(
        SessionId(row.id), digest, identity, row.name, row.used, row.confirmed, row.expiry, row.now
    )


_LOCK: Final = (
    select(membership.c.role)
    .select_from(
        organization.join(membership, membership.c.organization_id == organization.c.id).join(
            user, user.c.id == membership.c.user_id
        )
    )
    .where(
        organization.c.id == bindparam("of_organization"),
        organization.c.closed.is_(None),
        user.c.id == bindparam("of_user"),
        user.c.disabled.is_(None),
    )
    .with_for_update(of=[organization, membership, user])
)
_STILL: Final = select(session.c.id).where(
    session.c.digest == bindparam("digest"), session.c.expiry > database_now()
)


async def lock_session(connection: Connection, held: Session) -> Role | None:
    """What the session's user is now, with organization, membership and user locked, in this order.

    None if the session was ended since it was found: whatever ends one changes one of the three.
    """
    whom = {"of_organization": held.identity.organization_id, "of_user": held.identity.user_id}
    row = (await connection.execute(_LOCK, whom)).one_or_none()
    if row is None:
        return None
    still = (await connection.execute(_STILL, {"digest": held.digest})).one_or_none()
    return None if still is None else Role(row.role)


async def insert_session(
    connection: Connection, identity: Identity, secret: Secret, limits: SessionLimits, origin: Origin
) -> SessionId:
    """A new session, whose password was shown just now; the caller has locked its user.

    Of more than SESSIONS_MAX those end that were used longest ago.
    """
    session_id = generate_session_id()
    values = {
        "digest": secret.digest,
        "id": session_id,
        "organization_id": identity.organization_id,
        "user_id": identity.user_id,
        **dict.fromkeys(("created", "used", "confirmed"), database_now()),
        "expiry": database_now_plus(int(limits.absolute.total_seconds())),
        "address": origin.address,
        "user_agent": origin.user_agent,
    }
    await connection.execute(insert(session).values(values))
    newest = (
        select(session.c.id)
        .where(session.c.user_id == identity.user_id)
        .order_by(session.c.used.desc(), session.c.id)
        .limit(SESSIONS_MAX)
    )
    await connection.execute(
        delete(session).where(session.c.user_id == identity.user_id, session.c.id.not_in(newest))
    )
    return session_id


async def confirm_session(connection: Connection, held: Session, secret: Secret) -> None:
    """Note that the password was shown again, and that the session goes on under another secret."""
    await connection.execute(
        update(session)
        .where(session.c.digest == held.digest)
        .values(digest=secret.digest, confirmed=database_now())
    )


_NOTE: Final = (
    update(session)
    .where(session.c.digest == bindparam("of_digest", type_=LargeBinary), session.c.used < database_now())
    .values(used=database_now())
)


async def note_session_used(connection: Connection, digest: bytes) -> None:
    """It was used now."""
    await connection.execute(_NOTE, {"of_digest": digest})


async def list_sessions(
    connection: Connection, user_id: UserId, limits: SessionLimits
) -> list[SessionRecord]:
    """The user's live sessions, in every organization, the newest first."""
    query = (
        select(session)
        .select_from(_USABLE)
        .where(session.c.user_id == user_id, *_live())
        .order_by(session.c.used.desc(), session.c.id)
    )
    rows = await connection.execute(query, {"idle": int(limits.idle.total_seconds())})
    return [_record(row) for row in rows]


def _record(row: Any) -> SessionRecord:
    return SessionRecord(SessionId(row.id), row.created, row.used, row.expiry, row.address, row.user_agent)


async def delete_sessions_of_member(
    connection: Connection, organization_id: OrganizationId, user_id: UserId
) -> None:
    """End the user's sessions in that organization."""
    await connection.execute(
        delete(session).where(session.c.organization_id == organization_id, session.c.user_id == user_id)
    )


async def delete_sessions(
    connection: Connection,
    user_id: UserId,
    only: Sequence[SessionId] | None = None,
    but: SessionId | None = None,
) -> list[SessionId]:
    """End sessions of the user: those named, or all, except that one; which there were."""
    conditions = [session.c.user_id == user_id]
    if only is not None:
        conditions.append(session.c.id.in_(only))
    if but is not None:
        conditions.append(session.c.id != but)
    rows = await connection.execute(delete(session).where(*conditions).returning(session.c.id))
    return [SessionId(row.id) for row in rows]
