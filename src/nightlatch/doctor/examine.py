"""Run every check that can be run, in an order in which the first problem explains those after it."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from nightlatch.app import opened_engines
from nightlatch.clock import Clock
from nightlatch.doctor import machine, postgresql, sqlite
from nightlatch.doctor.finding import Finding, ok, problem
from nightlatch.doctor.mail import check_mail
from nightlatch.model.errors import CannotStart, StoreUnavailable
from nightlatch.settings import Settings
from nightlatch.store.engine import Engines, sqlite_path
from nightlatch.store.schema import check_schema


async def examine(settings: Settings, clock: Clock) -> list[Finding]:
    """What all checks found; changes nothing but the journal mode of an SQLite file, as any command does.

    No finding shows the database's password, whatever the database or its driver said.
    """
    url = settings.database_url.get_secret_value()
    if url.startswith("sqlite:"):
        database = await _examine_sqlite(settings, sqlite_path(url))
    else:
        database = await _examine_postgresql(settings, url, clock)
    findings = [
        *database,
        *await check_mail(settings),
        await machine.check_hash_time(settings),
        machine.check_hash_memory(settings),
        machine.check_open_files(),
    ]
    return [_without_passwords(finding, url) for finding in findings]


async def check_tables(engines: Engines) -> Finding:
    """The schema is one that this version can work with."""
    try:
        return ok("schema", f"revision {await check_schema(engines)}")
    except CannotStart as error:
        sentence, _, way_out = error.public.partition(". ")
        return problem("schema", sentence, way_out)
    except StoreUnavailable as error:
        return problem("schema", error.detail, "See what the other checks of the database say.")


async def _examine_sqlite(settings: Settings, file: Path) -> list[Finding]:
    findings = sqlite.check_place(file)
    if findings[0].check == "database":
        return findings
    try:
        async with opened_engines(settings) as engines:
            return [*findings, *sqlite.check_pages(file), await check_tables(engines)]
    except CannotStart as error:
        return [*findings, problem("database", error.public, "Nothing more could be looked at.")]


async def _examine_postgresql(settings: Settings, url: str, clock: Clock) -> list[Finding]:
    servers = await postgresql.read_servers(url, clock)
    findings = postgresql.check_servers(servers)
    primary = postgresql.newest_primary(servers)
    if primary is None:
        return findings
    findings += [
        *postgresql.check_writes(primary),
        postgresql.check_synchronous_commit(primary),
        postgresql.check_standbys(primary),
        postgresql.check_encoding(primary),
        postgresql.check_connections(primary, settings),
        postgresql.check_clock(primary),
    ]
    async with opened_engines(settings) as engines:
        schema = await check_tables(engines)
        findings.append(schema)
        if schema.advice is None:
            findings.append(await postgresql.check_lease(engines, clock))
    return findings


def _without_passwords(finding: Finding, url: str) -> Finding:
    parts = urlsplit(url)
    # Of a URL that was not escaped rightly, a part of a password may look like something else.
    written = [parts.password or "", *parse_qs(parts.query).get("password", [])]
    for secret in {form for text in written for form in (text, unquote(text)) if form}:
        finding = replace(
            finding,
            found=finding.found.replace(secret, "…"),
            advice=None if finding.advice is None else finding.advice.replace(secret, "…"),
        )
    return finding
