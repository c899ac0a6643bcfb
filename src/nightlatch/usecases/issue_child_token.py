"""Issue a child token: short-lived, limited to a scope, made with a token and ended with it."""

from dataclasses import dataclass

from nightlatch.model.attempt import child_tokens_key
from nightlatch.model.errors import InvalidValue, Throttled, TokenRejected
from nightlatch.model.event import Event, EventKind, acting_caller
from nightlatch.model.names import TokenId
from nightlatch.model.records import IssuedChildToken
from nightlatch.model.scope import Scope, store_scope
from nightlatch.model.standing import Caller
from nightlatch.model.token import generate_token
from nightlatch.store.child_tokens import NewChildToken, Parent, insert_child_token, lock_parent
from nightlatch.store.connection import Connection
from nightlatch.store.events import insert_event
from nightlatch.store.throttles import judge
from nightlatch.usecases.services import Services


@dataclass(frozen=True, slots=True)
class ChildTokenRequest:
    """A child token as it was asked for; `time_to_live` in seconds, None for the organization's."""

    name: str
    scope: Scope
    time_to_live: int | None


async def issue_child_token(
    services: Services, caller: Caller, parent_id: TokenId, asked: ChildTokenRequest
) -> IssuedChildToken:
    """A child of that token, which the caller came with; durable before this returns.

    It takes no place of the organization's tokens, and expires with its parent at the latest.

    Each is counted against the user's rate, whichever token it is made with: expired ones take no place of
    the organization's limit, but space for a while. What is refused is not counted.

    Raises Throttled, InvalidValue('time_to_live'), ChildTokenLimitReached, TokenRejected if the parent was
    ended meanwhile, or StoreUnavailable; after the last, the child may exist, but nobody has it.
    """
    organization_id = caller.identity.organization_id
    key = child_tokens_key(organization_id, caller.identity.user_id)
    async with services.store.write() as connection:
        # Before the organization is locked: who is refused keeps nobody else waiting.
        if wait := await judge(connection, key, services.throttle.child_tokens):
            raise Throttled(wait, "child tokens of a user")
        parent = await lock_parent(connection, parent_id)
        if parent is None:
            raise TokenRejected("a child of a token that is not live")
        new = NewChildToken(
            generate_token(), asked.name, asked.scope, _time_to_live(asked.time_to_live, parent)
        )
        expiry = await insert_child_token(connection, organization_id, parent, new)
        await _record(connection, caller, parent_id, new)
    return IssuedChildToken(new.token, expiry)


async def _record(connection: Connection, caller: Caller, parent_id: TokenId, new: NewChildToken) -> None:
    stored = store_scope(new.scope)
    limits = {"origin": stored.origin, "addresses": stored.networks and stored.networks.split()}
    detail = {
        "parent_id": parent_id,
        "methods": stored.methods.split(),
        "paths": list(new.scope.paths),
        **{name: value for name, value in limits.items() if value is not None},
    }
    identity = caller.identity
    event = Event(
        EventKind.CHILD_TOKEN_ISSUED,
        acting_caller(caller),
        identity.organization_id,
        identity.user_id,
        identity.email,
        new.token.id,
        detail,
    )
    await insert_event(connection, event)


def _time_to_live(asked: int | None, parent: Parent) -> int:
    if asked is None:
        return parent.time_to_live
    if asked > parent.time_to_live:
        raise InvalidValue(
            "time_to_live", f"Ensure this value is less than or equal to {parent.time_to_live}."
        )
    return asked
