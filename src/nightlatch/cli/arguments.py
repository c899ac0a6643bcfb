"""Arguments and options that several commands take."""

from typing import Annotated

import typer


def _well_formed(value: str | None) -> str | None:
    """Bytes on the command line that are not UTF-8 name nothing, and no database would take them."""
    if value is not None and not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise typer.BadParameter("This is not UTF-8.") from None
    return value


EmailArgument = Annotated[
    str, typer.Argument(metavar="EMAIL", help="The user's e-mail address.", callback=_well_formed)
]
OrganizationArgument = Annotated[
    str, typer.Argument(metavar="ID", help="The organization's id.", callback=_well_formed)
]
OrganizationOption = Annotated[
    str,
    typer.Option("--organization", metavar="ID", help="The organization's id.", callback=_well_formed),
]
OptionalOrganizationOption = Annotated[
    str | None,
    typer.Option(
        "--organization",
        metavar="ID",
        help="Make the user a member of this organization too.",
        callback=_well_formed,
    ),
]
TokenArgument = Annotated[
    str,
    typer.Argument(
        metavar="TOKEN_ID",
        help="The token's id: the 12 characters after nlt_, as token list shows them.",
        callback=_well_formed,
    ),
]
OptionalUserOption = Annotated[
    str | None,
    typer.Option("--user", metavar="EMAIL", help="Only the tokens of this member.", callback=_well_formed),
]
FilterOrganizationOption = Annotated[
    str | None,
    typer.Option(
        "--organization", metavar="ID", help="Only events of this organization.", callback=_well_formed
    ),
]
FilterUserOption = Annotated[
    str | None,
    typer.Option(
        "--user",
        metavar="EMAIL",
        help="Only what was done to this user, or by them to themselves.",
        callback=_well_formed,
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
