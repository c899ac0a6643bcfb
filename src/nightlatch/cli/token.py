"""Tokens: list and revoke an organization's."""

import typer

from nightlatch.cli.arguments import OptionalUserOption, OrganizationOption, TokenArgument, YesOption
from nightlatch.cli.command import Call, command
from nightlatch.cli.confirmation import confirm
from nightlatch.cli.documents import child_token_document, ended_ids, ended_sentence, token_document
from nightlatch.cli.output import Answer, Table, short_time
from nightlatch.model.errors import InvalidValue
from nightlatch.model.names import OrganizationId, TokenId
from nightlatch.model.records import EndedToken
from nightlatch.model.token import PREFIX

tokens = typer.Typer(help="Tokens: list and revoke an organization's.", no_args_is_help=True)


@tokens.command("list")
@command
def list_all(call: Call, organization: OrganizationOption) -> Answer:
    """List an organization's live tokens, oldest first. Their children: nightlatch token list-children.

    With --json also the program that logged in (user_agent).
    """
    from nightlatch.usecases.revoke_tokens import show_tokens

    found = call.session().run(show_tokens, OrganizationId(organization))
    document = [token_document(token) for token in found]
    if not found:
        return Answer(document, (f"'{organization}' has no live tokens.",))
    rows = [
        (
            token.id,
            token.name,
            token.email,
            short_time(token.created),
            short_time(token.expiry, "never"),
            short_time(token.last_used, "never"),
            token.last_address or "",
        )
        for token in found
    ]
    headers = ("ID", "Name", "User", "Created (UTC)", "Expiry (UTC)", "Last used (UTC)", "Last address")
    return Answer(document, Table(headers, rows))


@tokens.command("list-children")
@command
def list_children(call: Call, organization: OrganizationOption) -> Answer:
    """List an organization's live child tokens, oldest first.

    With --json also the origin and the addresses that one is limited to.
    """
    from nightlatch.usecases.revoke_tokens import show_child_tokens

    found = call.session().run(show_child_tokens, OrganizationId(organization))
    document = [child_token_document(child) for child in found]
    if not found:
        return Answer(document, (f"'{organization}' has no live child tokens.",))
    rows = [
        (
            child.id,
            child.parent_id,
            child.name,
            child.email,
            short_time(child.created),
            short_time(child.expiry),
            " ".join(sorted(child.scope.methods)),
            " ".join(child.scope.paths),
        )
        for child in found
    ]
    headers = ("ID", "Parent", "Name", "User", "Created (UTC)", "Expiry (UTC)", "Methods", "Paths")
    return Answer(document, Table(headers, rows))


@tokens.command("revoke", epilog="Example: nightlatch token revoke 4fTz0aB7Qm2K --organization acme")
@command
def revoke(call: Call, token_id: TokenArgument, organization: OrganizationOption) -> Answer:
    """Revoke one token or child token: no request that starts afterwards is accepted with it."""
    from nightlatch.usecases.revoke_tokens import revoke_one

    if token_id.startswith(PREFIX):
        # Perhaps the whole token: then it must not be repeated in a sentence.
        raise InvalidValue(
            "token_id",
            f"A token's id is the 12 characters after '{PREFIX}', without what follows: that is secret.",
        )
    return _ended(call.session().run(revoke_one, OrganizationId(organization), TokenId(token_id)))


@tokens.command(
    "revoke-all",
    epilog="Example: nightlatch token revoke-all --organization acme --user ann@example.com --yes",
)
@command
def revoke_all(
    call: Call, organization: OrganizationOption, user: OptionalUserOption = None, yes: YesOption = False
) -> Answer:
    """Revoke all tokens of an organization, or those of one member."""
    from nightlatch.usecases import revoke_tokens

    session = call.session()
    whose = f"organization '{organization}'" if user is None else f"'{user}' in '{organization}'"
    confirm(f"Revoke all tokens of {whose}?", yes)
    return _ended(session.run(revoke_tokens.revoke_all, OrganizationId(organization), user))


def _ended(ended: list[EndedToken]) -> Answer:
    return Answer({"ended_tokens": ended_ids(ended)}, (ended_sentence(ended),))
