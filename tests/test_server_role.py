"""A PostgreSQL role that cannot change the schema is enough for servers (SC4)."""

import asyncio
import secrets
from pathlib import Path

import asyncpg
import pytest

from nightlatch.model.names import Role
from nightlatch.usecases.accept_invitation import accept_invitation
from nightlatch.usecases.change_own_password import change_own_password
from nightlatch.usecases.choose_tokens import end_chosen_tokens
from nightlatch.usecases.create_token import create_token
from nightlatch.usecases.invite_member import invite_member
from nightlatch.usecases.prune import prune_expired
from tests.accounts import PASSWORD, Accounts
from tests.conftest import Database
from tests.console_people import NEW, ORIGIN, signed_in
from tests.serving import Serving
from tests.sockets import exchange, post_json, with_token

_DOCS = Path(__file__).parent.parent / "docs" / "operating.md"
ROLE_SQL = _DOCS.read_text().partition("### A role for the servers")[2].split("```")[1].removeprefix("sql\n")
pytestmark = pytest.mark.slow


def test_sc4_servers_run_as_a_role_that_cannot_change_the_schema(
    database: Database, accounts: Accounts, tmp_path: Path
) -> None:
    if database.kind == "sqlite":
        return  # a file has no roles
    role = f"server_{secrets.token_hex(4)}"
    statements = "\n".join(line for line in ROLE_SQL.splitlines() if not line.startswith("--"))
    for statement in filter(str.strip, statements.replace("nightlatch_server", role).split(";")):
        accounts.sql(statement)
    person = accounts.add_person()
    url = database.url.replace("postgres@", f"{role}@")
    serving = Serving(url, tmp_path / "log", workers=2, use_flush_seconds=0.2).wait_ready()
    try:
        wrong = post_json(serving.port, "/api/auth/login/", {**person.login_body, "password": "wrong"})
        assert wrong.status == 400
        tokens = [
            post_json(serving.port, "/api/auth/login/", person.login_body).json["token"] for _ in range(2)
        ]
        for token in tokens:
            assert exchange(serving.port, "GET", "/api/auth/verify/", with_token(token)).status == 200
            assert exchange(serving.port, "GET", "/api/auth/tokens/", with_token(token)).status == 200
        assert exchange(serving.port, "POST", "/api/auth/logout/", with_token(tokens[0])).status == 204
        assert exchange(serving.port, "GET", "/api/auth/verify/", with_token(tokens[0])).status == 401
        everywhere = exchange(serving.port, "POST", "/api/auth/logoutall/", with_token(tokens[1]))
        assert everywhere.status == 204
    finally:
        assert serving.stop() == 0
    log = serving.log.read_text()
    assert "permission denied" not in log
    assert "Traceback" not in log

    console = Accounts(url)
    try:
        session = signed_in(console, person)
        issued = console.do(create_token, session, "", None, ORIGIN)
        console.do(end_chosen_tokens, session, [issued.token.id], ORIGIN)
        invited = console.do(invite_member, session, f"ann-{person.username}", Role.MEMBER, ORIGIN)
        console.do(accept_invitation, invited.secret.reveal(), NEW, ORIGIN)
        console.do(change_own_password, session, PASSWORD, NEW, ORIGIN)
        console.do(prune_expired)
    finally:
        console.close()

    async def refused(statement: str) -> None:
        connection = await asyncpg.connect(url)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
        await connection.close()

    for statement in (
        "ALTER TABLE token ADD COLUMN x integer",
        "ALTER TABLE token DISABLE TRIGGER ALL",
        "DROP TABLE token",
        "TRUNCATE token CASCADE",
        "CREATE TABLE x (y integer)",
        "SET session_replication_role = replica",
        "UPDATE alembic_version SET version_num = '0001'",
        "UPDATE installation SET oldest_server = '9'",
    ):
        asyncio.run(refused(statement))
    accounts.sql(f"DROP OWNED BY {role}")
    accounts.sql(f"DROP ROLE {role}")
