"""Members: users in an organization, and what they may do there."""

from typing import Annotated

import typer

from nightlatch.cli.arguments import EmailArgument, OrganizationOption
from nightlatch.cli.command import Call, command
from nightlatch.cli.documents import ended_ids, ended_sentence, member_document
from nightlatch.cli.output import Answer, Table, short_time
from nightlatch.model.names import OrganizationId, Role, normalize_email

members = typer.Typer(
    help="Members: users in an organization, and what they may do there.", no_args_is_help=True
)

_ROLE_HELP = "An owner acts for the whole organization, a member for themselves."


@members.command("add", epilog="Example: nightlatch member add ann@example.com --organization acme")
@command
def add(
    call: Call,
    email: EmailArgument,
    organization: OrganizationOption,
    role: Annotated[Role, typer.Option(help=_ROLE_HELP)] = Role.MEMBER,
) -> Answer:
    """Make a user a member of an organization."""
    from nightlatch.usecases.add_member import add_member

    member = call.session().run(add_member, OrganizationId(organization), email, role)
    sentence = f"'{member.email}' is {_with_article(member.role)} of '{member.organization_id}' now."
    return Answer(member_document(member), (sentence,))


@members.command(
    "update", epilog="Example: nightlatch member update ann@example.com --organization acme --role owner"
)
@command
def update(
    call: Call,
    email: EmailArgument,
    organization: OrganizationOption,
    role: Annotated[Role, typer.Option(help=_ROLE_HELP)],
) -> Answer:
    """Change what a member may do; their tokens go on, with the new role."""
    from nightlatch.usecases.change_role import change_role

    member = call.session().run(change_role, OrganizationId(organization), email, role)
    sentence = f"'{member.email}' is {_with_article(member.role)} of '{member.organization_id}' now."
    return Answer(member_document(member), (sentence,))


@members.command("remove")
@command
def remove(call: Call, email: EmailArgument, organization: OrganizationOption) -> Answer:
    """Remove a member from an organization; their tokens for it end."""
    from nightlatch.usecases.remove_member import remove_member

    ended = call.session().run(remove_member, OrganizationId(organization), email)
    known = normalize_email(email)
    return Answer(
        {"organization_id": organization, "email": known, "ended_tokens": ended_ids(ended)},
        (f"'{known}' is no member of '{organization}' any more. {ended_sentence(ended)}",),
    )


@members.command("list")
@command
def list_all(call: Call, organization: OrganizationOption) -> Answer:
    """List an organization's members."""
    from nightlatch.usecases.show_users import show_members

    found = call.session().run(show_members, OrganizationId(organization))
    document = [member_document(member) for member in found]
    if not found:
        return Answer(
            document,
            (
                f"'{organization}' has no members. To add one: "
                f"nightlatch member add EMAIL --organization {organization}",
            ),
        )
    rows = [
        (member.email, member.role, short_time(member.created), short_time(member.disabled, "no"))
        for member in found
    ]
    return Answer(document, Table(("E-mail", "Role", "Since (UTC)", "Disabled (UTC)"), rows))


def _with_article(role: Role) -> str:
    return "an owner" if role is Role.OWNER else "a member"
