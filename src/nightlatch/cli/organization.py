"""Organizations: add, list, show, update and close them."""

from typing import Annotated

import typer

from nightlatch.cli.arguments import OrganizationArgument, YesOption
from nightlatch.cli.command import Call, command
from nightlatch.cli.confirmation import confirm
from nightlatch.cli.documents import ended_ids, ended_sentence, organization_document
from nightlatch.cli.duration import (
    TIME_TO_LIVE_DEFAULT,
    TimeToLiveOption,
    read_duration,
    read_limited_duration,
    write_duration,
)
from nightlatch.cli.failure import WrongUse
from nightlatch.cli.output import Answer, Table, short_time
from nightlatch.model.names import LimitPolicy, OrganizationId
from nightlatch.model.records import TOKEN_LIMIT_DEFAULT, Organization

organizations = typer.Typer(
    help="Organizations: whom tokens belong to, and the rules for them.", no_args_is_help=True
)

_NAME_HELP = "The name that people see; 1 to 200 characters."
_TOKEN_LIMIT_HELP = "How many live tokens the organization may have at once."
_CHILD_TOKEN_LIMIT_HELP = "How many live child tokens the organization may have at once."
_LIMIT_POLICY_HELP = "What a login at the limit does: be refused, or end a token to make place."


@organizations.command(
    "add", epilog='Example: nightlatch organization add "Acme Ltd" --id acme --time-to-live 12h'
)
@command
def add(
    call: Call,
    name: Annotated[str, typer.Argument(metavar="NAME", help=_NAME_HELP)],
    organization_id: Annotated[
        str | None,
        typer.Option(
            "--id",
            metavar="ID",
            help="2 to 32 lower-case letters and digits; people name it when they log in.",
            show_default="six random characters",
        ),
    ] = None,
    token_limit: Annotated[int, typer.Option(help=_TOKEN_LIMIT_HELP)] = TOKEN_LIMIT_DEFAULT,
    limit_policy: Annotated[LimitPolicy, typer.Option(help=_LIMIT_POLICY_HELP)] = LimitPolicy.REFUSE,
    time_to_live: TimeToLiveOption = TIME_TO_LIVE_DEFAULT,
) -> Answer:
    """Add an organization."""
    from nightlatch.usecases.add_organization import add_organization

    seconds = read_duration(time_to_live or "")
    added = call.session().run(add_organization, name, organization_id, token_limit, seconds, limit_policy)
    return Answer(
        organization_document(added),
        (
            f"Added organization '{added.id}' ({added.name}).",
            f"To add its first user: nightlatch user add EMAIL --organization {added.id} --role owner",
        ),
    )


@organizations.command("list")
@command
def list_all(
    call: Call,
    closed: Annotated[bool, typer.Option("--closed", help="List closed organizations too.")] = False,
) -> Answer:
    """List organizations."""
    from nightlatch.usecases.show_organizations import show_organizations

    found = call.session().run(show_organizations, closed)
    document = [organization_document(organization) for organization in found]
    if not found:
        return Answer(document, ("There are no organizations. To add one: nightlatch organization add NAME",))
    rows = [
        (
            organization.id,
            organization.name,
            str(organization.token_limit),
            write_duration(organization.time_to_live),
            short_time(organization.created),
        )
        + ((short_time(organization.closed),) if closed else ())
        for organization in found
    ]
    headers = ("ID", "Name", "Token limit", "Time to live", "Created (UTC)")
    return Answer(document, Table(headers + (("Closed (UTC)",) if closed else ()), rows))


@organizations.command("show")
@command
def show(call: Call, organization_id: OrganizationArgument) -> Answer:
    """Show one organization, open or closed."""
    from nightlatch.usecases.show_organizations import show_organization

    return _shown(call.session().run(show_organization, OrganizationId(organization_id)))


@organizations.command(
    "update", epilog="Example: nightlatch organization update acme --token-limit 100 --time-to-live never"
)
@command
def update(
    call: Call,
    organization_id: OrganizationArgument,
    name: Annotated[str | None, typer.Option(metavar="NAME", help=_NAME_HELP)] = None,
    token_limit: Annotated[
        int | None, typer.Option(help=_TOKEN_LIMIT_HELP + " A lower one ends no token.")
    ] = None,
    limit_policy: Annotated[LimitPolicy | None, typer.Option(help=_LIMIT_POLICY_HELP)] = None,
    time_to_live: TimeToLiveOption = None,
    child_token_limit: Annotated[int | None, typer.Option(help=_CHILD_TOKEN_LIMIT_HELP)] = None,
    child_time_to_live: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="How long a child token lives at most: 1h, 15m, seconds."),
    ] = None,
) -> Answer:
    """Change an organization's name or its rules for tokens."""
    from nightlatch.usecases.update_organization import OrganizationChange, update_organization

    for_children = (child_token_limit, child_time_to_live)
    if all(given is None for given in (name, token_limit, limit_policy, time_to_live, *for_children)):
        raise WrongUse(
            "Nothing to change: give --name, --token-limit, --limit-policy, --time-to-live, "
            "--child-token-limit or --child-time-to-live."
        )
    seconds = None if time_to_live is None else read_duration(time_to_live)
    change = OrganizationChange(
        name,
        token_limit,
        limit_policy,
        seconds,
        never_expires=time_to_live is not None and seconds is None,
        child_token_limit=child_token_limit,
        child_time_to_live=None if child_time_to_live is None else read_limited_duration(child_time_to_live),
    )
    return _shown(call.session().run(update_organization, OrganizationId(organization_id), change))


@organizations.command("close", epilog="Example: nightlatch organization close acme --yes")
@command
def close(call: Call, organization_id: OrganizationArgument, yes: YesOption = False) -> Answer:
    """Close an organization for good: all its tokens end, and nobody can log in to it any more."""
    from nightlatch.usecases.close_organization import close_organization

    session = call.session()
    confirm(f"Close organization '{organization_id}' for good, and end all its tokens?", yes)
    closed, ended = session.run(close_organization, OrganizationId(organization_id))
    return Answer(
        organization_document(closed) | {"ended_tokens": ended_ids(ended)},
        (f"Closed organization '{closed.id}' ({closed.name}). {ended_sentence(ended)}",),
    )


def _shown(organization: Organization) -> Answer:
    rows = [
        ("ID", organization.id),
        ("Name", organization.name),
        ("Token limit", str(organization.token_limit)),
        ("Limit policy", organization.limit_policy),
        ("Time to live", write_duration(organization.time_to_live)),
        ("Child token limit", str(organization.child_token_limit)),
        ("Child time to live", write_duration(organization.child_time_to_live)),
        ("Created (UTC)", short_time(organization.created)),
        ("Closed (UTC)", short_time(organization.closed, "no")),
    ]
    return Answer(organization_document(organization), Table((), rows))
