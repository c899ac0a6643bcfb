"""nightlatch member …"""

from typing import Annotated

import typer

from nightlatch.cli.output import (
    Json,
    ended_shape,
    membership_shape,
    print_json,
    print_sentence,
    print_table,
)
from nightlatch.cli.session import run_use_case
from nightlatch.cli.user import Email
from nightlatch.model.names import OrganizationId, Role
from nightlatch.model.records import Membership

app = typer.Typer(no_args_is_help=True, help="Say who belongs to which organization, and as what.")

Organization = Annotated[str, typer.Option(metavar="ID", help="The organization's id.")]


@app.command()
def add(
    context: typer.Context,
    email: Email,
    organization: Organization,
    role: Annotated[Role, typer.Option(help="What they may do in it.")] = Role.MEMBER,
    as_json: Json = False,
) -> None:
    """Make a known user a member of an organization."""
    from nightlatch.usecases.add_member import add_member

    membership = run_use_case(context, add_member, OrganizationId(organization), email, role)
    _print_one(membership, as_json)


@app.command()
def update(
    context: typer.Context,
    email: Email,
    organization: Organization,
    role: Annotated[Role, typer.Option(help="The new role. Tokens go on, with it.")],
    as_json: Json = False,
) -> None:
    """Change a member's role."""
    from nightlatch.usecases.add_member import change_role

    membership = run_use_case(context, change_role, OrganizationId(organization), email, role)
    _print_one(membership, as_json)


@app.command()
def remove(context: typer.Context, email: Email, organization: Organization, as_json: Json = False) -> None:
    """End a membership and its tokens. Not the last owner's."""
    from nightlatch.usecases.remove_member import remove_member

    ended = run_use_case(context, remove_member, OrganizationId(organization), email)
    if as_json:
        print_json({"ended_tokens": ended_shape(ended)})
    else:
        print_sentence(f"Removed {email} from {organization}; {len(ended)} tokens ended.")


@app.command("list")
def list_command(context: typer.Context, organization: Organization, as_json: Json = False) -> None:
    """List an organization's members."""
    from nightlatch.usecases.show_users import show_members

    members = run_use_case(context, show_members, OrganizationId(organization))
    shapes = [membership_shape(member) for member in members]
    if as_json:
        print_json(shapes)
    else:
        print_table(shapes, "It has no members. Add one: nightlatch member add EMAIL --organization ID")


def _print_one(membership: Membership, as_json: bool) -> None:
    shape = membership_shape(membership)
    if as_json:
        print_json(shape)
    else:
        print_sentence(f"{membership.email} is {membership.role.value} of {membership.organization_id}.")
