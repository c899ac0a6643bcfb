"""What records look like in JSON. docs/command-line.md shows each, and a test compares the two."""

from typing import Any

from nightlatch.model.records import (
    ChildTokenRecord,
    EndedToken,
    Membership,
    Organization,
    TokenRecord,
    User,
)
from nightlatch.model.scope import store_scope
from nightlatch.model.times import wire_time


def organization_document(organization: Organization) -> dict[str, Any]:
    """An organization with its rules."""
    return {
        "id": organization.id,
        "name": organization.name,
        "token_limit": organization.token_limit,
        "limit_policy": organization.limit_policy,
        "time_to_live": organization.time_to_live,
        "child_token_limit": organization.child_token_limit,
        "child_time_to_live": organization.child_time_to_live,
        "created": wire_time(organization.created),
        "closed": wire_time(organization.closed),
    }


def user_document(user: User) -> dict[str, Any]:
    """A user."""
    return {
        "id": user.id,
        "email": user.email,
        "created": wire_time(user.created),
        "disabled": wire_time(user.disabled),
    }


def member_document(membership: Membership) -> dict[str, Any]:
    """A membership."""
    return {
        "organization_id": membership.organization_id,
        "email": membership.email,
        "role": membership.role,
        "created": wire_time(membership.created),
        "disabled": wire_time(membership.disabled),
    }


def token_document(token: TokenRecord) -> dict[str, Any]:
    """A live token, with the same keys as in the API's list."""
    return {
        "id": token.id,
        "name": token.name,
        "user": token.email,
        "created": wire_time(token.created),
        "expiry": wire_time(token.expiry),
        "last_used": wire_time(token.last_used),
        "last_address": token.last_address,
        "user_agent": token.user_agent,
    }


def child_token_document(child: ChildTokenRecord) -> dict[str, Any]:
    """A live child token, with the same keys as in the API's list, and its parent."""
    stored = store_scope(child.scope)
    return {
        "id": child.id,
        "parent_id": child.parent_id,
        "name": child.name,
        "user": child.email,
        "created": wire_time(child.created),
        "expiry": wire_time(child.expiry),
        "methods": stored.methods.split(),
        "paths": list(child.scope.paths),
        "origin": child.scope.origin,
        "addresses": None if stored.networks is None else stored.networks.split(),
    }


def ended_ids(ended: list[EndedToken]) -> list[str]:
    """The ids of the tokens that a command ended."""
    return [token.id for token in ended]


def ended_sentence(ended: list[EndedToken]) -> str:
    """The same for people."""
    return {0: "No token ended.", 1: "1 token ended."}.get(len(ended), f"{len(ended)} tokens ended.")
