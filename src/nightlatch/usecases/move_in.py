"""Move in: read another service's users and tokens, plan what becomes of them, and bring them in."""

from dataclasses import dataclass, field
from pathlib import Path

from nightlatch.model.errors import InvalidValue, Refused
from nightlatch.model.imported import HEX_CHARACTERS_MAX, HEX_CHARACTERS_MIN, is_prefix
from nightlatch.model.moving import Report, Service
from nightlatch.model.names import is_organization_id
from nightlatch.store.events import read_now
from nightlatch.usecases.follow_source import find_gone, follow_source, note_gone
from nightlatch.usecases.import_tokens import Progress, find_over_limit, import_plan
from nightlatch.usecases.plan_import import TokenForm, plan_import
from nightlatch.usecases.read_source import SourceOptions, everybody_in, read_mapping, read_source
from nightlatch.usecases.services import Services


@dataclass(frozen=True, slots=True)
class Move:
    """What is asked for. The location is a database's URL, which may hold a password, or a file."""

    service: Service
    location: str = field(repr=False)
    options: SourceOptions
    form: TokenForm
    mapping: Path | None
    organization_id: str | None
    follow: bool
    dry_run: bool
    end_most: bool = False
    """Follow a source also where most of what was imported is not in it any more."""


async def move_in(services: Services, move: Move, progress: Progress) -> Report:
    """Bring in what is new in the source; with `follow` end and change here what has there, too.

    When this returns it is in force everywhere. Raises InvalidValue, Refused, CannotStart or
    StoreUnavailable; what was committed before the last stays, and the next run goes on from there.
    """
    _check(move)
    read = await read_source(move.service, move.location, move.options)
    placements = [*read.placements]
    if move.mapping is not None:
        placements += read_mapping(move.mapping)
    if move.organization_id is not None:
        placements += everybody_in(read.source, move.organization_id)
    if move.follow and not read.source.users:
        raise Refused("The source has no users: following it would end everything that was imported.")
    if not placements and read.source.users:
        raise Refused(
            "Nothing says which organization anybody belongs to. Give --mapping FILE, "
            "--memberships-query SQL or --organization ID."
        )
    async with services.store.read() as connection:
        now = await read_now(connection)
    plan = plan_import(read.source, placements, move.form, now)
    gone = await find_gone(services, plan, move.end_most if move.follow else None)
    note_gone(plan, gone, move.follow)
    report = await import_plan(services, plan, move.dry_run, progress)
    if move.follow:
        await follow_source(services, plan, gone, report)
    report.over_limit = await find_over_limit(services, plan, report)
    return report


def _check(move: Move) -> None:
    for prefix in move.form.prefixes:
        if not is_prefix(prefix):
            raise InvalidValue(
                "token_prefix", "A prefix has at most 10 printable ASCII characters, and no space."
            )
    if not HEX_CHARACTERS_MIN <= move.form.characters <= HEX_CHARACTERS_MAX or move.form.characters % 2:
        raise InvalidValue(
            "token_characters",
            f"A token has an even number of digits from {HEX_CHARACTERS_MIN} to {HEX_CHARACTERS_MAX}, "
            "without its prefix.",
        )
    if move.organization_id is not None and not is_organization_id(move.organization_id):
        raise InvalidValue("organization", "An organization's id has 2 to 32 lower-case letters and digits.")
