"""GET and POST /console/organization/: its name and rules, as far as owners may change them."""

from typing import Final

import structlog
from starlette.responses import Response

from nightlatch.console import PATH
from nightlatch.console.asked import Asked
from nightlatch.console.views.organization import organization_view, read_time_to_live
from nightlatch.console.views.password_again import PasswordAgain
from nightlatch.model.errors import InvalidValue
from nightlatch.model.names import LimitPolicy
from nightlatch.usecases import show_organizations
from nightlatch.usecases.update_organization import OrganizationChange, update_organization_as_owner

_log = structlog.get_logger("nightlatch")

ORGANIZATION: Final = f"{PATH}organization/"


async def show_organization(asked: Asked) -> Response:
    """The rules as they are."""
    asked.check_owner()
    return await _page(asked, asked.again, {}, 200)


async def send_organization(asked: Asked) -> Response:
    """Change what the form holds."""
    asked.check_owner()
    again = await asked.confirm()
    if again.problem:
        return await _page(asked, again, {}, 400)
    change, problems = _read(asked)
    if problems:
        return await _page(asked, again, problems, 400)
    try:
        await update_organization_as_owner(asked.services, asked.session, change, asked.origin)
    except InvalidValue as error:
        return await _page(asked, again, {error.field: asked.says(error)}, 400)
    identity = asked.session.identity
    _log.info("organization_changed", organization_id=identity.organization_id, user_id=identity.user_id)
    return asked.see(ORGANIZATION, done="saved")


def _read(asked: Asked) -> tuple[OrganizationChange, dict[str, str]]:
    """What the form asks for, and what is wrong with it, by field."""
    problems: dict[str, str] = {}
    name = asked.field("name") if "name" in asked.fields else None
    token_limit = time_to_live = policy = None
    never_expires = bool(asked.field("never_expires"))
    if "token_limit" in asked.fields:
        text = asked.field("token_limit").strip()
        if text.isascii() and text.isdigit() and len(text) <= 9:
            token_limit = int(text)
        else:
            problems["token_limit"] = asked.language.gettext("Enter a whole number.")
    if "limit_policy" in asked.fields:
        try:
            policy = LimitPolicy(asked.field("limit_policy"))
        except ValueError:
            problems["limit_policy"] = asked.language.gettext("Choose one of these.")
    if "time_to_live" in asked.fields and not never_expires:
        time_to_live = read_time_to_live(asked.field("time_to_live"), asked.field("time_to_live_unit"))
        if time_to_live is None:
            problems["time_to_live"] = asked.language.gettext("Enter a whole number.")
    change = OrganizationChange(
        name=name,
        token_limit=token_limit,
        limit_policy=policy,
        time_to_live=time_to_live,
        never_expires=never_expires,
    )
    return change, problems


async def _page(asked: Asked, again: PasswordAgain, problems: dict[str, str], status: int) -> Response:
    organization = await show_organizations.show_organization(
        asked.services, asked.session.identity.organization_id
    )
    sent = {name: values[-1] for name, values in asked.fields.items()} if asked.fields else None
    view = organization_view(
        asked.language,
        organization,
        asked.services.owners_may_change,
        again,
        sent,
        problems,
        is_saved=asked.query("done") == "saved",
    )
    return asked.page("organization.html", view, status)
