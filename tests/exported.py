"""A service to move in from that is a file of `dumpdata`, written anew as often as a test changes it."""

import base64
import hashlib
import json
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from nightlatch.model.moving import Reason, Report, Service
from nightlatch.usecases.move_in import Move, move_in
from nightlatch.usecases.plan_import import TokenForm
from nightlatch.usecases.read_source import SourceOptions
from tests.accounts import Accounts, Person
from tests.memory import Memory

THERE = "the password of there"


def django_hash(password: str) -> str:
    """As Django writes it, with few iterations."""
    digest = hashlib.pbkdf2_hmac("sha256", password.encode(), b"salt", 10)
    return f"pbkdf2_sha256$10$salt${base64.b64encode(digest).decode()}"


def from_now(seconds: float) -> str:
    """A moment as an export has it."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


class Exported:
    """Users and tokens of knox, all of them members of one organization of this source's own."""

    def __init__(self, folder: Path, accounts: Accounts) -> None:
        self._file = folder / "export.jsonl"
        self._accounts = accounts
        self.organization_id = f"o{secrets.token_hex(5)}"
        self.users: dict[int, dict[str, Any]] = {}
        self.tokens: dict[str, dict[str, Any]] = {}

    def add_user(self) -> Person:
        """A user of the password THERE, by whose place in the list the file's keys go."""
        email = f"{secrets.token_hex(6)}@example.com"
        key = len(self.users) + 1
        self.users[key] = {"username": email, "password": django_hash(THERE), "is_active": True}
        return Person(self.organization_id, email, THERE)

    def add_token(self, user: int = 1, seconds: float = 3600) -> str:
        """A token of knox 5 of that user, in clear."""
        token = secrets.token_hex(32)
        self._add(token, hashlib.sha512(token.encode()), 15, user, from_now(seconds))
        return token

    def add_old_token(self, user: int = 1) -> str:
        """A token of knox 4.2."""
        token = secrets.token_hex(32)
        self._add(token, hashlib.sha512(bytes.fromhex(token)), 8, user, None)
        return token

    def _add(self, token: str, digest: Any, key_characters: int, user: int, expiry: str | None) -> None:
        self.tokens[digest.hexdigest()] = {
            "token_key": token[:key_characters],
            "user": user,
            "created": "2026-01-01T00:00:00Z",
            "expiry": expiry,
        }

    def row_of(self, token: str) -> dict[str, Any]:
        """What is stored there of a token of knox 5."""
        return self.tokens[hashlib.sha512(token.encode()).hexdigest()]

    def remove(self, token: str) -> None:
        """Log it out there."""
        del self.tokens[hashlib.sha512(token.encode()).hexdigest()]

    def move(self, form: TokenForm | None = None, **changes: Any) -> Report:
        """Import it as it is now."""
        rows = [{"model": "auth.user", "pk": key, "fields": user} for key, user in self.users.items()]
        rows += [{"model": "knox.authtoken", "pk": key, "fields": row} for key, row in self.tokens.items()]
        self._file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        asked: dict[str, Any] = {"follow": False, "dry_run": False} | changes
        move = Move(
            Service.KNOX,
            str(self._file),
            SourceOptions(),
            form or TokenForm(),
            None,
            self.organization_id,
            **asked,
        )
        return self._accounts.do(move_in, move, _silent)

    def follow(self, **changes: Any) -> Report:
        """Import it, and do here what was done there."""
        return self.move(follow=True, **changes)

    def accepted(self, *tokens: str) -> list[bool]:
        """Whether a process of now accepts them."""
        memory = Memory(self._accounts)
        try:
            return [memory.accepts(token) for token in tokens]
        finally:
            memory.close()


def reasons(report: Report) -> dict[Reason, int]:
    """The report's remarks."""
    return dict(report.remarks.counts)


def _silent(what: str, done: int, total: int) -> None:
    """Progress that nobody looks at."""
