"""nightlatch organization …"""

from typing import Annotated

import typer

from nightlatch.cli.duration import TIME_TO_LIVE_DEFAULT, TIME_TO_LIVE_HELP, read_duration
from nightlatch.cli.output import (
    Json,
    ended_shape,
    organization_shape,
    print_json,
    print_sentence,
    print_table,
)
from nightlatch.cli.session import confirm, run_use_case
from nightlatch.model.names import OrganizationId
from nightlatch.model.records import TOKEN_LIMIT_DEFAULT, Organization

app = typer.Typer(no_args_is_help=True, help="Add, show, change and close organizations.")

Id = Annotated[str, typer.Argument(metavar="ID", help="The organization's id, for example auhf2k.")]


@app.command(epilog='Example: nightlatch organization add "Acme" --id auhf2k --token-limit 20')
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The organization's name, for people.")],
    organization_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Its id; a random one if not given.")
    ] = None,
    token_limit: Annotated[int, typer.Option(help="How many live tokens it may have.")] = TOKEN_LIMIT_DEFAULT,
    time_to_live: Annotated[str, typer.Option(help=TIME_TO_LIVE_HELP)] = TIME_TO_LIVE_DEFAULT,
    as_json: Json = False,
) -> None:
    """Add an organization."""
    from nightlatch.usecases.add_organization import add_organization

    seconds = read_duration(time_to_live)
    made = run_use_case(context, add_organization, name, organization_id, token_limit, seconds)
    _print_one(made, f"Added organization {made.id}.", as_json)


@app.command("list")
def list_command(
    context: typer.Context,
    closed: Annotated[bool, typer.Option("--closed", help="Show closed ones too.")] = False,
    as_json: Json = False,
) -> None:
    """List the organizations."""
    from nightlatch.usecases.show_organizations import show_organizations

    shapes = [organization_shape(item) for item in run_use_case(context, show_organizations, closed)]
    if as_json:
        print_json(shapes)
    else:
        print_table(shapes, "There is no organization. Add one: nightlatch organization add NAME")


@app.command()
def show(context: typer.Context, organization_id: Id, as_json: Json = False) -> None:
    """Show one organization."""
    from nightlatch.usecases.show_organizations import show_organization

    _print_one(run_use_case(context, show_organization, OrganizationId(organization_id)), "", as_json)


@app.command()
def update(
    context: typer.Context,
    organization_id: Id,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    token_limit: Annotated[
        int | None,
        typer.Option(help="A new limit. Below what is live it ends no token, and admits no new one."),
    ] = None,
    time_to_live: Annotated[
        str | None, typer.Option(help=f"{TIME_TO_LIVE_HELP} For tokens made from now on.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Change an organization's name or its rules for tokens."""
    from nightlatch.usecases.update_organization import OrganizationChange, update_organization

    if name is None and token_limit is None and time_to_live is None:
        raise typer.BadParameter("nothing to change: give --name, --token-limit or --time-to-live")
    seconds = None if time_to_live is None else read_duration(time_to_live)
    change = OrganizationChange(name, token_limit, seconds, time_to_live == "never")
    changed = run_use_case(context, update_organization, OrganizationId(organization_id), change)
    _print_one(changed, f"Changed organization {changed.id}.", as_json)


@app.command()
def close(
    context: typer.Context,
    organization_id: Id,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Close an organization for good: ends all its tokens, and nobody logs in to it again."""
    from nightlatch.usecases.close_organization import close_organization

    confirm(f"Close organization {organization_id} for good and end all its tokens?", yes)
    closed, ended = run_use_case(context, close_organization, OrganizationId(organization_id))
    if as_json:
        print_json(organization_shape(closed) | {"ended_tokens": ended_shape(ended)})
    else:
        print_sentence(f"Closed organization {closed.id}; {len(ended)} tokens ended.")


def _print_one(organization: Organization, sentence: str, as_json: bool) -> None:
    shape = organization_shape(organization)
    if as_json:
        print_json(shape)
        return
    if sentence:
        print_sentence(sentence)
    print_table([shape], "")
