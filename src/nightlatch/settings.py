"""Settings: one frozen object, read once at the start and validated before anything is opened.

Precedence: command line flag, then NIGHTLATCH_… variable, then the file named by --config, then
the default. What is unknown or wrong stops the start with the setting's name and what is allowed.
"""

import tomllib
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import SplitResult, parse_qs, urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from nightlatch.model.errors import CannotStart
from nightlatch.model.mail import parse_mail_server, parse_sender
from nightlatch.model.rate import Rate, parse_rate

VARIABLE_PREFIX = "NIGHTLATCH_"
COMMAND_VARIABLES = ("NIGHTLATCH_IMPORT_SOURCE", "NIGHTLATCH_CLIENT_")
"""What single commands, and the client on the same machine, read, and what is no setting: passed over."""


def _split_commas(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _read_networks(value: object) -> object:
    parts = _split_commas(value)
    if not isinstance(parts, (tuple, list)):
        return parts
    try:
        return tuple(ip_network(part) for part in parts)
    except ValueError as error:
        raise ValueError(f"expected addresses or networks such as 10.0.0.0/8, but {error}") from None


def _read_rate(value: object) -> object:
    return parse_rate(value) if isinstance(value, str) else value


_Networks = tuple[IPv4Network | IPv6Network, ...]
_Rate = Annotated[Rate, BeforeValidator(_read_rate)]


class Settings(BaseModel):
    """Everything that can be set. The descriptions are what docs/settings.md shows."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    database_url: SecretStr = Field(
        SecretStr("sqlite:///nightlatch.db"),
        description="`sqlite:///FILE` (three slashes: relative to the working directory, four: absolute) "
        "or `postgresql://USER:PASSWORD@HOST/DATABASE`, with libpq's parameters such as `sslmode`. "
        "`HOST:PORT,HOST:PORT` names a primary and its standbys: the one that takes writes is used.",
    )
    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(8000, ge=1, le=65535, description="Port to listen on.")
    workers: int = Field(1, ge=1, le=256, description="Number of server processes.")
    public_url: str | None = Field(
        None,
        description="Where people reach Nightlatch, such as `https://auth.example.com`: links to set a "
        "password begin with it. Without it they begin with `host` and `port`.",
    )
    smtp_url: SecretStr | None = Field(
        None,
        description="The server that mails invitations and links to set a password: "
        "`smtps://USER:PASSWORD@HOST:465` (TLS from the start) or `smtp://USER:PASSWORD@HOST:587` (STARTTLS, "
        "without which nothing is sent, except to `localhost`), characters such as / and @ percent-encoded. "
        "Needs `mail_from` and `public_url`. Without it links are only shown.",
    )
    mail_from: str | None = Field(
        None,
        description="Whom mails are from: `auth@example.com` or `Example <auth@example.com>`; needs "
        "`smtp_url`.",
    )
    metrics_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="A second port for `/metrics` and health, without TLS; `/metrics` is then on it only.",
    )
    metrics_host: str = Field(
        "127.0.0.1", min_length=1, description="Address to listen on for `metrics_port`."
    )
    tls_certificate: Path | None = Field(
        None, description="PEM file with the certificate chain; needs `tls_key`. TLS 1.2 at least."
    )
    tls_key: Path | None = Field(None, description="PEM file with the certificate's private key.")
    cors_origins: Annotated[tuple[str, ...], BeforeValidator(_split_commas)] = Field(
        ("*",),
        description="Origins whose pages may call the API, comma-separated; `*` for any (a token is not a "
        "cookie: no page gets one that its user did not give it). Empty: none.",
    )
    password_length_min: int = Field(
        15,
        ge=8,
        le=64,
        description="How many characters a new password has at least; fewer than 15 only where a second "
        "factor is asked for elsewhere (NIST SP 800-63B-4). Passwords that exist are not asked.",
    )
    password_hash_memory_kib: int = Field(
        19456, ge=8, le=4194304, description="Argon2id: memory of one hash, in KiB."
    )
    password_hash_time_cost: int = Field(2, ge=1, le=100, description="Argon2id: passes over the memory.")
    password_hash_parallelism: int = Field(1, ge=1, le=64, description="Argon2id: lanes.")
    password_hash_threads: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Hashes computed at once in one process; by default the machine's cores divided by "
        "`workers`, at least 1.",
    )
    password_hash_wait_seconds: float = Field(
        10.0,
        gt=0,
        le=300,
        description="How long a login may wait for its turn to be hashed before it is answered with 503.",
    )
    failed_logins_per_account: _Rate = Field(
        Rate(10, 1800),
        description="Failed logins to one account, known or not: so many at once, and as many again in "
        "that time, one after the other; beyond that 429. Each address that has logged in to the account "
        "before is counted apart.",
    )
    failed_logins_per_address: _Rate = Field(
        Rate(50, 300),
        description="Failed logins from one address (of IPv6: one /64) to accounts that it has not logged in "
        "to before.",
    )
    logins_per_account: _Rate | None = Field(
        None,
        description="Successful logins to one account, written the same way; by default without limit.",
    )
    child_tokens_per_user: _Rate = Field(
        Rate(1000, 3600),
        description="Child tokens that a user of an organization makes, written the same way; beyond that "
        "429.",
    )
    session_idle_minutes: int = Field(
        60, ge=1, le=1440, description="A session of the console ends when it was not used for so long."
    )
    session_hours: int = Field(
        12, ge=1, le=720, description="And so long after the sign-in at the latest, however much it is used."
    )
    owners_may_change: Annotated[
        tuple[Literal["name", "token_limit", "limit_policy", "time_to_live"], ...],
        BeforeValidator(_split_commas),
    ] = Field(
        ("name", "limit_policy", "time_to_live"),
        description="What owners may change of their organization in the console, comma-separated: `name`, "
        "`token_limit`, `limit_policy`, `time_to_live`. Empty: nothing. The operator may change all of it.",
    )
    body_seconds_max: float = Field(
        10.0, gt=0, le=300, description="How long a client may take to send a request's body (then 408)."
    )
    known_tokens_max: int = Field(
        100_000,
        ge=1,
        le=10_000_000,
        description="How many live tokens one process remembers, at about 400 bytes each, and beside them "
        "a tenth as many child tokens, at about 1 KB; what was read first is forgotten first, and read again "
        "when it comes.",
    )
    token_header: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9-]{1,64}$",
        description="A second header that `/api/auth/verify/` takes the token from, alone or after `Token `, "
        "for APIs that use Authorization themselves. Where it is sent, Authorization is not looked at.",
    )
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_read_networks)] = (
        Field(
            (),
            description="Addresses or networks of proxies, comma-separated, whose `X-Forwarded-For` tells "
            "the client's address, and whose `X-Forwarded-Method` and `X-Forwarded-Uri` tell which request a "
            "child token is used for; from everybody else they are not looked at. Empty: none.",
        )
    )
    use_flush_seconds: float = Field(
        5.0,
        gt=0,
        le=3600,
        description="How often uses of tokens (the last of each, and how many) are written to the database.",
    )
    audit_retention_days: int = Field(
        400, ge=1, le=36_500, description="How many days events stay in the audit log."
    )
    audit_address_days: int = Field(
        90,
        ge=1,
        le=36_500,
        description="How many days they keep the client's address and user agent, which are erased then.",
    )
    traces: bool = Field(
        False,
        description="Send traces of requests by OpenTelemetry, to where its variables say, such as "
        "`OTEL_EXPORTER_OTLP_ENDPOINT`; needs `pip install 'nightlatch[traces]'`.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least important kind of log line that is written."
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="`text` for people, `json` for machines; `auto`: text on a terminal."
    )

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        try:
            parts = urlsplit(url)
            _check_hosts(parts)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme in ("postgresql", "postgres"):
            return value
        if parts.scheme == "sqlite" and not parts.netloc and len(parts.path) > 1:
            if parts.query or parts.fragment or "?" in url or "#" in url:
                raise ValueError("an sqlite URL takes no parameters: sqlite:///FILE")
            return value
        raise ValueError(
            "expected sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE, "
            "with characters such as / and @ in the password percent-encoded"
        )

    @field_validator("public_url")
    @classmethod
    def _plain_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            _ = parts.port
        except ValueError:
            parts = urlsplit("")
        plain = value.isascii() and value.isprintable() and not set(value) & set(" ?#@")
        if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
            raise ValueError("expected https://HOST, or with a port and a path: https://HOST:PORT/PATH")
        return value.rstrip("/")

    @field_validator("smtp_url")
    @classmethod
    def _mail_server(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_mail_server(value.get_secret_value())
        return value

    @field_validator("mail_from")
    @classmethod
    def _sender(cls, value: str | None) -> str | None:
        if value is not None:
            parse_sender(value)
        return value

    @model_validator(mode="after")
    def _mail_settings(self) -> Self:
        if (self.smtp_url is None) != (self.mail_from is None):
            raise ValueError("smtp_url and mail_from belong together: give both or none")
        # Else a link in a mail would begin with whatever the request's Host header says.
        if self.smtp_url is not None and self.public_url is None:
            raise ValueError("smtp_url needs public_url: links in mails begin with it")
        return self

    @model_validator(mode="after")
    def _tls_pair(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key belong together: give both or none")
        return self


def _check_hosts(parts: SplitResult) -> None:
    """Raise ValueError where the driver would read other hosts than are meant."""
    login, _, hosts = parts.netloc.rpartition("@")
    if "@" in login:
        raise ValueError("an @ in the password that is not escaped")
    named = hosts.split(",")
    for host in named:
        if len(named) > 1 and (not host or host != host.strip()):
            raise ValueError("no host between commas")
        _ = urlsplit(f"//{host}").port  # raises when a password holds a slash that is not escaped
    asked = parse_qs(parts.query)
    if any("," in value or len(named) > 1 for name in ("host", "port") for value in asked.get(name, [])):
        raise ValueError("several hosts belong before the path")


def load_settings(flags: Mapping[str, Any], config: Path | None, environment: Mapping[str, str]) -> Settings:
    """The settings in force.

    `flags` holds what the command line gave (None: not given), `config` a TOML file with the same
    names. Raises CannotStart with every setting that is unknown or wrong, and what is allowed.
    """
    sources = _read_file(config) | _read_variables(environment)
    sources |= {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings.model_validate(sources)
    except ValidationError as error:
        problems = [_describe(problem["loc"], problem["msg"]) for problem in error.errors()]
        raise CannotStart("\n".join(problems)) from None


def _read_file(config: Path | None) -> dict[str, Any]:
    if config is None:
        return {}
    try:
        return tomllib.loads(config.read_text("utf-8"))
    except OSError as error:
        raise CannotStart(f"--config {config}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CannotStart(f"--config {config}: not a TOML file in UTF-8: {error}") from None


def _read_variables(environment: Mapping[str, str]) -> dict[str, Any]:
    # A misspelt variable would otherwise be passed over in silence, and its default be in force.
    return {
        variable.removeprefix(VARIABLE_PREFIX).lower(): value
        for variable, value in environment.items()
        if variable.startswith(VARIABLE_PREFIX) and not variable.startswith(COMMAND_VARIABLES)
    }


def _describe(location: tuple[int | str, ...], message: str) -> str:
    name = str(location[0]) if location else ""
    if name and name not in Settings.model_fields:
        known = ", ".join(sorted(Settings.model_fields))
        return f"{name} ({VARIABLE_PREFIX}{name.upper()}): there is no such setting. There are: {known}"
    message = message.removeprefix("Value error, ")
    return f"{name} ({VARIABLE_PREFIX}{name.upper()}): {message}" if name else message
