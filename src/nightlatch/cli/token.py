"""nightlatch token …"""

from typing import Annotated

import typer

from nightlatch.cli.member import Organization
from nightlatch.cli.output import Json, ended_shape, print_json, print_sentence, print_table, token_shape
from nightlatch.cli.session import confirm, run_use_case
from nightlatch.model.names import OrganizationId, TokenId

app = typer.Typer(no_args_is_help=True, help="See and end an organization's tokens.")


@app.command("list")
def list_command(context: typer.Context, organization: Organization, as_json: Json = False) -> None:
    """List the live tokens, oldest first."""
    from nightlatch.usecases.revoke_tokens import show_tokens

    tokens = run_use_case(context, show_tokens, OrganizationId(organization))
    shapes = [token_shape(token) for token in tokens]
    if as_json:
        print_json(shapes)
    else:
        print_table(shapes, "There is no live token.")


@app.command()
def revoke(
    context: typer.Context,
    token_id: Annotated[
        str, typer.Argument(metavar="TOKEN_ID", help="The token's public id: the 12 characters after nlt_.")
    ],
    organization: Organization,
    as_json: Json = False,
) -> None:
    """End one token for good."""
    from nightlatch.usecases.revoke_tokens import revoke_one

    ended = run_use_case(context, revoke_one, OrganizationId(organization), TokenId(token_id))
    if as_json:
        print_json({"ended_tokens": ended_shape(ended)})
    else:
        print_sentence(f"Ended token {ended[0].id}.")


@app.command("revoke-all")
def revoke_all_command(
    context: typer.Context,
    organization: Organization,
    user: Annotated[str | None, typer.Option(metavar="EMAIL", help="Only this member's tokens.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """End all tokens of an organization, or of one member."""
    from nightlatch.usecases.revoke_tokens import revoke_all

    whose = organization if user is None else f"{user} in {organization}"
    confirm(f"End all tokens of {whose}?", yes)
    ended = run_use_case(context, revoke_all, OrganizationId(organization), user)
    if as_json:
        print_json({"ended_tokens": ended_shape(ended)})
    else:
        print_sentence(f"{len(ended)} tokens ended.")
