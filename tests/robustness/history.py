"""What happened: one record for each call, as the process that made it saw it.

Clients append records to a file each, as JSON arrays on lines of their own; they are merged when the
run is over. Instants are nanoseconds on CLOCK_BOOTTIME, which all processes of one machine share.
Tokens are named by their public id: a token in clear never reaches a file.

An outcome is what the caller may conclude:

    ok           it was done, or the token was accepted
    refused      it was not done and never will be by this call, or the token was not accepted
    unavailable  503: it may have happened, or not, and may still happen
    unknown      no answer: likewise
"""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from sys import intern
from typing import TextIO

SECOND = 1_000_000_000
FOREVER = 2**63


def now() -> int:
    """Nanoseconds on CLOCK_BOOTTIME."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Kind(StrEnum):
    """What was called."""

    VERIFY = "verify"
    LOGIN = "login"
    CONNECT = "connect"
    """Only attempts that failed are recorded."""

    # These end tokens.
    LOGOUT = "logout"
    LOGOUTALL = "logoutall"
    REVOKE = "revoke"
    DELETE_ROW = "delete row"
    PASSWORD = "password"
    DISABLE = "disable"
    REMOVE_MEMBER = "remove member"
    CLOSE = "close organization"

    # These do not.
    ENABLE = "enable"
    SET_ROLE = "set role"
    ADD_MEMBER = "add member"
    OPEN = "open organization"


TOKEN_ENDINGS = frozenset({Kind.LOGOUT, Kind.REVOKE, Kind.DELETE_ROW})
"""End the token they name."""

SCOPE_ENDINGS = frozenset({Kind.LOGOUTALL, Kind.PASSWORD, Kind.DISABLE, Kind.REMOVE_MEMBER, Kind.CLOSE})
"""End every token of the user in the organization that they name; empty stands for any."""

SHUT_OUTS = SCOPE_ENDINGS - {Kind.LOGOUTALL}
"""After these a login that began before them makes no token either."""


class Outcome(StrEnum):
    """What the caller may conclude."""

    OK = "ok"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"
    UNKNOWN = "unknown"


OPEN_OUTCOMES = frozenset({Outcome.UNAVAILABLE, Outcome.UNKNOWN})


@dataclass(slots=True)
class Operation:
    """One call."""

    client: int
    number: int
    kind: Kind
    start: int
    end: int
    node: str
    """Whom it was sent to: a server's name, "admin" for a use case, "cli" or "sql"."""
    process: int
    """The process that answered; 0: not known."""
    outcome: Outcome
    status: int = 0
    """Of the HTTP answer, or a command's exit code; 0: there is none."""
    token: str = ""
    """The id of the token that was shown, made or ended."""
    organization: str = ""
    user: str = ""
    detail: str = ""
    """Verify: the identity answered, see `identity_text`. Login: the token's expiry. Set role, add
    member: the role. Open organization: its token limit."""

    @property
    def id(self) -> str:
        """Names the operation in messages."""
        return f"{self.client}-{self.number}"

    def __str__(self) -> str:
        what = " ".join(part for part in (self.token, self.organization, self.user, self.detail) if part)
        return (
            f"[{self.id} {self.kind} {what}: {self.outcome} {self.status} by {self.node}/{self.process}, "
            f"{self.start / SECOND:.6f} to {self.end / SECOND:.6f}]"
        )


def identity_text(organization: str, user: str, role: str, token: str, expiry: str) -> str:
    """The identity in an answer, as a record holds it."""
    return f"{organization}|{user}|{role}|{token}|{expiry}"


@dataclass(frozen=True, slots=True)
class Fault:
    """What was done to the system, until it was taken back and everything answered again."""

    kind: str
    start: int
    end: int
    nodes: tuple[str, ...] = ()
    """Whose answers it may disturb; empty: everybody's."""
    detail: str = ""
    recovered: bool = True


@dataclass(slots=True)
class History:
    """Everything that the checker is told, apart from the final state."""

    operations: list[Operation]
    faults: list[Fault] = field(default_factory=list)


class HistoryWriter:
    """Appends one client's records to its file."""

    def __init__(self, path: Path, client: int) -> None:
        self.client = client
        self.written = 0
        self._file: TextIO = path.open("a", encoding="ascii")

    def write(
        self,
        kind: Kind,
        start: int,
        end: int,
        node: str,
        process: int,
        outcome: Outcome,
        status: int = 0,
        token: str = "",
        organization: str = "",
        user: str = "",
        detail: str = "",
    ) -> None:
        """Append a record."""
        self.written += 1
        row = (self.client, self.written, kind, start, end, node, process, outcome, status)
        self._file.write(json.dumps((*row, token, organization, user, detail)) + "\n")

    def close(self) -> None:
        """Write what is buffered."""
        self._file.close()


def read_operations(paths: Iterable[Path]) -> Iterator[Operation]:
    """The records of those files. A last line that a killed client did not finish is left out."""
    kinds = {kind.value: kind for kind in Kind}
    outcomes = {outcome.value: outcome for outcome in Outcome}
    for path in paths:
        with path.open(encoding="ascii") as file:
            for line in file:
                if not line.endswith("\n"):
                    break
                client, number, kind, start, end, node, process, outcome, status, *texts = json.loads(line)
                token, organization, user, detail = map(intern, texts)
                yield Operation(
                    client,
                    number,
                    kinds[kind],
                    start,
                    end,
                    intern(node),
                    process,
                    outcomes[outcome],
                    status,
                    token,
                    organization,
                    user,
                    detail,
                )
