"""Plan an import: what a source's rows come to here. Asks nobody, and changes nothing."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from nightlatch.guard.django_passwords import django_hash_fault
from nightlatch.model.errors import InvalidValue
from nightlatch.model.imported import Algorithm, ImportedKind, imported_digest
from nightlatch.model.moving import (
    Placement,
    Plan,
    PlannedToken,
    PlannedUser,
    Reason,
    Remarks,
    Service,
    Source,
    SourceToken,
    SourceUser,
)
from nightlatch.model.names import (
    Email,
    OrganizationId,
    Role,
    is_organization_id,
    normalize_email,
    parse_email,
    parse_organization_name,
)
from nightlatch.model.token import TokenDigest

OLD_TOKEN_KEY_CHARACTERS: Final = 8
"""knox 4 looks a token up by its first 8 characters, knox 5 by 15."""
DRF_CHARACTERS: Final = 40

_HEX: Final = re.compile(r"[0-9a-f]+")
_SHA512_HEX: Final = re.compile(r"[0-9a-f]{128}")


@dataclass(frozen=True, slots=True)
class TokenForm:
    """What knox's tokens look like: its settings TOKEN_PREFIX, all there ever were, and
    AUTH_TOKEN_CHARACTER_LENGTH.

    `old_knox`: tokens of knox 4 come along though the source has knox 5, which does not accept them.
    """

    prefixes: tuple[str, ...] = ("",)
    characters: int = 64
    old_knox: bool = False


def plan_import(source: Source, placements: Sequence[Placement], form: TokenForm, now: datetime) -> Plan:
    """What becomes of the source's users and tokens, by the placements; `now` is the database's time."""
    remarks = Remarks()
    emails, every_email = _emails(source.users, remarks)
    keys = _keys_by_name(source.users, emails)
    placed = _placed(placements, keys, remarks)
    organizations = _organization_names(placements, placed)
    users = []
    for user in source.users:
        if user.key in emails:
            roles = {place.organization_id: place.role for place in placed.get(user.key, {}).values()}
            users.append(_planned_user(user, emails[user.key], roles, remarks))
    _note_ownerless(organizations, users, remarks)
    tokens, kinds, stored = _tokens(source, emails, placed, form, now, remarks)
    return Plan(source.service, organizations, users, every_email, tokens, kinds, stored, remarks)


# --- users --------------------------------------------------------------------------------------


def _emails(users: Iterable[SourceUser], remarks: Remarks) -> tuple[dict[str, Email], frozenset[Email]]:
    """By key, the address that each user logs in with: their username where it is one, or their e-mail's.

    And all such addresses, also those that several users share.
    """
    chosen: dict[str, Email] = {}
    by_email = []
    for user in users:
        email = _email(user.username)
        if email is None and (email := _email(user.email)) is not None:
            by_email.append(user)
        if email is None:
            remarks.add(Reason.USER_WITHOUT_EMAIL, user.username or user.key)
        else:
            chosen[user.key] = email
    # Whose it is that two users share, nobody but the operator knows.
    times = Counter(chosen.values())
    every = frozenset(times)
    for user in users:
        if user.key in chosen and times[chosen[user.key]] > 1:
            remarks.add(Reason.USER_DUPLICATE, chosen.pop(user.key))
    for user in by_email:
        if user.key in chosen:
            remarks.add(Reason.LOGIN_BY_EMAIL, f"{user.username} -> {chosen[user.key]}")
    return chosen, every


def _email(text: str) -> Email | None:
    try:
        return parse_email(text)
    except InvalidValue:
        return None


def _planned_user(
    user: SourceUser, email: Email, roles: dict[OrganizationId, Role], remarks: Remarks
) -> PlannedUser:
    if not user.active:
        remarks.add(Reason.USER_INACTIVE, email)
    if not roles:
        remarks.add(Reason.USER_WITHOUT_ORGANIZATION, email)
    password_hash: str | None = user.password_hash
    # Django writes an exclamation mark where there is no password.
    if not user.password_hash or user.password_hash.startswith("!"):
        remarks.add(Reason.PASSWORD_UNUSABLE, email)
        password_hash = None
    elif (fault := django_hash_fault(user.password_hash)) is not None:
        algorithm = user.password_hash.partition("$")[0]
        known = algorithm if re.fullmatch(r"[a-z0-9_]{1,20}", algorithm) else "a hash"
        remarks.add(Reason.PASSWORD_ALGORITHM, f"{email} ({known}: {fault})")
        password_hash = None
    return PlannedUser(email, password_hash, user.active, roles)


# --- organizations and memberships ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    organization_id: OrganizationId
    role: Role
    tokens: bool


def _keys_by_name(users: Iterable[SourceUser], emails: dict[str, Email]) -> dict[str, str]:
    """What a placement may call a user: as they log in there, or here."""
    names = {user.username: user.key for user in users if user.key in emails}
    return {email: key for key, email in emails.items()} | names


def _placed(
    placements: Iterable[Placement], keys: dict[str, str], remarks: Remarks
) -> dict[str, dict[OrganizationId, _Place]]:
    """By the user's key, and the organization's id."""
    known = set(keys.values())
    placed: dict[str, dict[OrganizationId, _Place]] = defaultdict(dict)
    for placement in placements:
        key = placement.user_key
        if not key:
            key = keys.get(placement.login) or keys.get(normalize_email(placement.login), "")
        if key not in known:
            remarks.add(Reason.PLACEMENT_UNKNOWN_USER, placement.login or placement.user_key)
        elif not is_organization_id(placement.organization_id):
            remarks.add(Reason.PLACEMENT_ORGANIZATION_ID, placement.organization_id)
        elif placement.role not in tuple(Role):
            remarks.add(Reason.PLACEMENT_ROLE, placement.role)
        else:
            organization_id = OrganizationId(placement.organization_id)
            placed[key][organization_id] = _Place(organization_id, Role(placement.role), placement.tokens)
    return placed


def _organization_names(
    placements: Iterable[Placement], placed: dict[str, dict[OrganizationId, _Place]]
) -> dict[OrganizationId, str]:
    """Every organization that has somebody, with the first name given for it, or else its id."""
    names: dict[OrganizationId, str] = {
        organization_id: "" for places in placed.values() for organization_id in places
    }
    for placement in placements:
        organization_id = OrganizationId(placement.organization_id)
        if names.get(organization_id) == "" and placement.organization_name:
            try:
                names[organization_id] = parse_organization_name(placement.organization_name)
            except InvalidValue:
                continue
    return {organization_id: name or organization_id for organization_id, name in names.items()}


def _note_ownerless(
    organizations: Iterable[OrganizationId], users: Iterable[PlannedUser], remarks: Remarks
) -> None:
    owned = {
        organization_id
        for user in users
        if user.active
        for organization_id, role in user.roles.items()
        if role is Role.OWNER
    }
    for organization_id in organizations:
        if organization_id not in owned:
            remarks.add(Reason.ORGANIZATION_WITHOUT_OWNER, organization_id)


# --- tokens ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Read:
    """What is stored here of a token, and of which kinds it may be."""

    digest: TokenDigest
    kinds: tuple[ImportedKind, ...]


def _tokens(
    source: Source,
    emails: dict[str, Email],
    placed: dict[str, dict[OrganizationId, _Place]],
    form: TokenForm,
    now: datetime,
    remarks: Remarks,
) -> tuple[list[PlannedToken], frozenset[ImportedKind], frozenset[bytes]]:
    names = {user.key: emails.get(user.key) or user.username or user.key for user in source.users}
    active = {user.key for user in source.users if user.active}
    tokens: list[PlannedToken] = []
    kinds: set[ImportedKind] = set()
    stored: set[bytes] = set()
    refuses_old = not form.old_knox and any(_is_of_knox_5(token) for token in source.tokens)
    for token in source.tokens:
        name = names.get(token.user_key, "")
        read = _read_key(token) if source.service is Service.DRF else _read_digest(token, form)
        if refuses_old and isinstance(read, _Read) and not _is_of_knox_5(token):
            read = Reason.TOKEN_OF_OLD_KNOX
        if (token.expiry is None or token.expiry > now) and read is not Reason.TOKEN_OF_OLD_KNOX:
            stored.update(_stored(source.service, token))
        reason = _reason(token, read, emails, active, now)
        if reason is None:
            place = _place(placed.get(token.user_key, {}))
            if isinstance(place, _Place) and isinstance(read, _Read):
                kinds.update(read.kinds)
                tokens.append(
                    PlannedToken(
                        read.digest,
                        place.organization_id,
                        emails[token.user_key],
                        token.created,
                        token.expiry,
                    )
                )
                continue
            reason = place if isinstance(place, Reason) else None
        if reason is not None:
            remarks.add(reason, name)
    return tokens, frozenset(kinds), frozenset(stored)


def _is_of_knox_5(token: SourceToken) -> bool:
    return len(token.token_key) > OLD_TOKEN_KEY_CHARACTERS


def _reason(
    token: SourceToken, read: _Read | Reason, emails: dict[str, Email], active: set[str], now: datetime
) -> Reason | None:
    """Why the token is left out, whatever its organization. Expired ones first: nobody misses them."""
    if token.expiry is not None and token.expiry <= now:
        return Reason.TOKEN_EXPIRED
    if isinstance(read, Reason):
        return read
    if token.user_key not in emails:
        return Reason.TOKEN_OF_NO_USER
    if token.user_key not in active:
        return Reason.TOKEN_OF_INACTIVE_USER
    return None


def _place(places: dict[OrganizationId, _Place]) -> _Place | Reason:
    """The one organization whose tokens a user's are."""
    if not places:
        return Reason.TOKEN_WITHOUT_ORGANIZATION
    chosen = [place for place in places.values() if place.tokens or len(places) == 1]
    return chosen[0] if len(chosen) == 1 else Reason.TOKEN_AMBIGUOUS_ORGANIZATION


def _stored(service: Service, token: SourceToken) -> set[bytes]:
    """What an earlier import may have stored of it, whatever is left out of this one."""
    if service is Service.DRF:
        return {imported_digest(Algorithm.TEXT, token.stored.encode("utf-8")).value}
    return {bytes.fromhex(token.stored)} if _SHA512_HEX.fullmatch(token.stored) else set()


def _read_digest(token: SourceToken, form: TokenForm) -> _Read | Reason:
    """knox: which version made it shows in how much of the token is kept in clear, to look it up by."""
    if token.salted:
        return Reason.TOKEN_SALTED
    if _SHA512_HEX.fullmatch(token.stored) is None:
        return Reason.TOKEN_OTHER_ALGORITHM
    digest = TokenDigest(bytes.fromhex(token.stored))
    if len(token.token_key) == OLD_TOKEN_KEY_CHARACTERS:
        if _HEX.fullmatch(token.token_key) is None:
            return Reason.TOKEN_FORM
        return _Read(digest, (ImportedKind(Algorithm.HEX, "", form.characters),))
    kinds = tuple(
        ImportedKind(Algorithm.TEXT, prefix, form.characters)
        for prefix in form.prefixes
        if token.token_key.startswith(prefix) and _HEX.fullmatch(token.token_key, len(prefix))
    )
    return _Read(digest, kinds) if kinds else Reason.TOKEN_PREFIX


def _read_key(token: SourceToken) -> _Read | Reason:
    """Django REST framework keeps the token itself: 40 hexadecimal digits, unless a project made its own."""
    if len(token.stored) != DRF_CHARACTERS or _HEX.fullmatch(token.stored) is None:
        return Reason.TOKEN_FORM
    kind = ImportedKind(Algorithm.TEXT, "", DRF_CHARACTERS)
    return _Read(imported_digest(Algorithm.TEXT, token.stored.encode("ascii")), (kind,))
