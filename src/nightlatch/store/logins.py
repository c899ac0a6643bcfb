"""The two queries around a password check: what to check against, and the token if it still holds."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Integer, Row, String, Text, and_, bindparam, insert, literal, select, true
from sqlalchemy.exc import IntegrityError

from nightlatch.model.attempt import Attempt
from nightlatch.model.errors import TokenLimitReached
from nightlatch.model.names import Email, LimitPolicy, OrganizationId, Role, UserId
from nightlatch.model.token import PlainToken
from nightlatch.store.columns import database_now, database_now_plus
from nightlatch.store.connection import Connection
from nightlatch.store.failures import violated_constraint
from nightlatch.store.known_addresses import NOTED_AGAIN, SETTLED
from nightlatch.store.tables import known_address, membership, organization, throttle, token, user


@dataclass(frozen=True, slots=True)
class LoginCandidate:
    """Whom a username and an organization id name, and what was true of them at that moment.

    `time_to_live` in seconds is the most that a token may have, None for no end.
    """

    organization_id: OrganizationId
    user_id: UserId
    email: Email
    role: Role
    password_hash: str
    password_version: int
    active: bool
    token_limit: int
    limit_policy: LimitPolicy
    time_to_live: int | None


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token about to be stored; `time_to_live` in seconds, None for one without end."""

    token: PlainToken
    name: str
    user_agent: str
    time_to_live: int | None


_PATH = organization.join(membership, membership.c.organization_id == organization.c.id).join(
    user, user.c.id == membership.c.user_id
)

_MEMBER: Final = select(
    user.c.id,
    organization.c.id.label("organization_id"),
    user.c.email,
    membership.c.role,
    user.c.password_hash,
    user.c.password_version,
    and_(user.c.disabled.is_(None), organization.c.closed.is_(None)).label("active"),
    organization.c.token_limit,
    organization.c.limit_policy,
    organization.c.time_to_live,
).select_from(_PATH)
_NAMED: Final = _MEMBER.where(
    user.c.email == bindparam("email"), organization.c.id == bindparam("organization_id")
).subquery()


def _free_at(key: str) -> Any:
    return select(throttle.c.free_at).where(throttle.c.key == bindparam(key)).scalar_subquery().label(key)


# One row for whatever is asked, of nulls for nobody, so that a row's way takes no time that tells who
# exists. Nor does anything else here: how many tokens there are is asked after the password.
_ONE: Final = select(literal(1).label("one")).subquery()
_CANDIDATE: Final = select(
    *_NAMED.c,
    database_now().label("now"),
    *(_free_at(key) for key in ("account", "address", "account_from_address")),
    select(known_address.c.used)
    .where(
        known_address.c.organization_id == _NAMED.c.organization_id,
        known_address.c.user_id == _NAMED.c.id,
        known_address.c.address == bindparam("from_address"),
    )
    .scalar_subquery()
    .label("address_used"),
).select_from(_ONE.outerjoin(_NAMED, onclause=true()))

# The same of an address alone, which may be no member's: to whom an account is invited.
_ADDRESSED: Final = (
    select(user.c.id, user.c.password_hash, user.c.password_version, user.c.disabled)
    .where(user.c.email == bindparam("email"))
    .subquery()
)
_INVITED: Final = select(
    *_ADDRESSED.c,
    database_now().label("now"),
    *(_free_at(key) for key in ("account", "address")),
).select_from(_ONE.outerjoin(_ADDRESSED, onclause=true()))
_LOCK_USER: Final = (
    select(user.c.id)
    .where(
        user.c.id == bindparam("of_user"),
        user.c.disabled.is_(None),
        user.c.password_version == bindparam("checked_version"),
    )
    .with_for_update()
)

# Whom the password was checked of, if nothing has changed about them since. Locks organization,
# membership, user, in the order of every use case.
_AS_CHECKED = (
    organization.c.id == bindparam("of_organization"),
    organization.c.closed.is_(None),
    user.c.id == bindparam("of_user"),
    user.c.disabled.is_(None),
    user.c.password_version == bindparam("checked_version"),
)
_LOCKED = [organization, membership, user]

_LOCK = (
    select(organization.c.token_limit, organization.c.limit_policy)
    .select_from(_PATH)
    .where(*_AS_CHECKED)
    .with_for_update(of=_LOCKED)
)

# The database's trigger decides on the limit.
_INSERT = (
    insert(token)
    .from_select(
        ["id", "digest", "organization_id", "user_id", "name", "user_agent", "created", "expiry"],
        select(
            bindparam("new_id", type_=String),
            bindparam("new_digest", type_=token.c.digest.type),
            membership.c.organization_id,
            membership.c.user_id,
            bindparam("new_name", type_=String),
            bindparam("new_user_agent", type_=Text),
            database_now(),
            database_now_plus(bindparam("new_time_to_live", type_=Integer)),
        )
        .select_from(_PATH)
        .where(*_AS_CHECKED)
        .with_for_update(of=_LOCKED),
    )
    .returning(token.c.expiry)
)


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted before an attempt: how many seconds each of its keys' free_at lies ahead.

    `is_known`: there was a login to the account from this address; `is_noted`: within the last day;
    `is_settled`: and so long ago that every process knows.
    """

    account: float
    address: float
    account_from_address: float
    is_known: bool
    is_noted: bool
    is_settled: bool


class FoundCandidate:
    """What was found about whom a username and an organization id name: perhaps nothing."""

    def __init__(self, row: Row[Any]) -> None:
        self._row = row
        age = None if row.address_used is None else row.now - row.address_used
        self.counted = Counted(
            _ahead(row.account, row.now),
            _ahead(row.address, row.now),
            _ahead(row.account_from_address, row.now),
            is_known=age is not None,
            is_noted=age is not None and age < NOTED_AGAIN,
            is_settled=age is not None and SETTLED <= age < NOTED_AGAIN,
        )

    @property
    def password_hash(self) -> str | None:
        """What to check the password against; None for an unknown user or organization, or a non-member."""
        password_hash: str | None = self._row.password_hash
        return password_hash

    def candidate(self) -> LoginCandidate | None:
        """Whom; to be asked when the password has been checked, since it takes longer for somebody."""
        return None if self._row.id is None else _candidate(self._row)


def _ahead(moment: datetime | None, now: datetime) -> float:
    return 0.0 if moment is None else (moment - now).total_seconds()


def _candidate(row: Row[Any]) -> LoginCandidate:
    return LoginCandidate(
        organization_id=OrganizationId(row.organization_id),
        user_id=UserId(row.id),
        email=Email(row.email),
        role=Role(row.role),
        password_hash=row.password_hash,
        password_version=row.password_version,
        active=bool(row.active),
        token_limit=row.token_limit,
        limit_policy=LimitPolicy(row.limit_policy),
        time_to_live=row.time_to_live,
    )


async def find_candidate(connection: Connection, attempt: Attempt) -> FoundCandidate:
    """Whom to check the password of; found in the same time, as far as can be, if there is nobody."""
    parameters = {
        "email": attempt.email,
        "organization_id": attempt.organization_id,
        "account": attempt.account,
        "address": attempt.address,
        "account_from_address": attempt.account_from_address,
        "from_address": attempt.network,
    }
    return FoundCandidate((await connection.execute(_CANDIDATE, parameters)).one())


_OF_MEMBER: Final = _MEMBER.where(
    user.c.id == bindparam("of_user"), organization.c.id == bindparam("of_organization")
)


async def find_member_candidate(
    connection: Connection, organization_id: OrganizationId, user_id: UserId
) -> LoginCandidate | None:
    """What is true of a member who has shown their password before, as their session tells."""
    whom = {"of_organization": organization_id, "of_user": user_id}
    row = (await connection.execute(_OF_MEMBER, whom)).one_or_none()
    return None if row is None else _candidate(row)


@dataclass(frozen=True, slots=True)
class Invited:
    """Whose address was invited, and what was counted against it before.

    `user_id` and `password_hash` are None if nobody has it yet.
    """

    user_id: UserId | None
    password_hash: str | None = field(repr=False)
    password_version: int | None
    active: bool
    counted: Counted


async def find_invited(connection: Connection, attempt: Attempt) -> Invited:
    """Whom to check the password of; found in the same time, as far as can be, if there is nobody."""
    parameters = {"email": attempt.email, "account": attempt.account, "address": attempt.address}
    row = (await connection.execute(_INVITED, parameters)).one()
    counted = Counted(
        _ahead(row.account, row.now),
        _ahead(row.address, row.now),
        0.0,
        is_known=False,
        is_noted=False,
        is_settled=False,
    )
    return Invited(
        None if row.id is None else UserId(row.id),
        row.password_hash,
        row.password_version,
        row.id is not None and row.disabled is None,
        counted,
    )


async def lock_invited(connection: Connection, invited: Invited) -> bool:
    """Lock the user whose password was checked; False if they were shut out since."""
    parameters = {"of_user": invited.user_id, "checked_version": invited.password_version}
    return (await connection.execute(_LOCK_USER, parameters)).one_or_none() is not None


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A token that was stored, and when it expires (None: never)."""

    expiry: datetime | None


def _as_checked(candidate: LoginCandidate) -> dict[str, object]:
    return {
        "of_organization": candidate.organization_id,
        "of_user": candidate.user_id,
        "checked_version": candidate.password_version,
    }


@dataclass(frozen=True, slots=True)
class Limit:
    """How many live tokens an organization may have, and what a login does that meets that."""

    tokens: int
    policy: LimitPolicy


async def lock_candidate(connection: Connection, candidate: LoginCandidate) -> Limit | None:
    """Lock whom the password was checked of; their organization's limit as it is now.

    None if the candidate was shut out since. Nobody else gives out a token of the organization
    before the transaction ends.
    """
    row = (await connection.execute(_LOCK, _as_checked(candidate))).one_or_none()
    return None if row is None else Limit(row.token_limit, LimitPolicy(row.limit_policy))


async def insert_token(
    connection: Connection, candidate: LoginCandidate, new: NewToken
) -> StoredToken | None:
    """Store the token; None if the candidate was shut out since their password was checked (H10).

    Raises TokenLimitReached when the database refuses one more.
    """
    parameters = {
        "new_id": new.token.id,
        "new_digest": new.token.digest.value,
        "new_name": new.name,
        "new_user_agent": new.user_agent,
        "new_time_to_live": new.time_to_live,
        **_as_checked(candidate),
    }
    try:
        row = (await connection.execute(_INSERT, parameters)).one_or_none()
    except IntegrityError as error:
        if violated_constraint(error) in ("token_within_limit", "token_limit_reached"):
            raise TokenLimitReached(candidate.organization_id) from None
        raise
    return None if row is None else StoredToken(row.expiry)
