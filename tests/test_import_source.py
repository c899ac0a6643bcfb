"""Where an import reads from, and what it leaves in the database: bad input takes nothing down."""

import time
from pathlib import Path
from typing import Any

import pytest

from nightlatch.store.django_database import _check_url
from tests.accounts import Accounts
from tests.commands import run_command
from tests.conftest import DATABASES, Database
from tests.exported import Exported
from tests.memory import Memory

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
ON_EACH_STORE = pytest.mark.parametrize("database", DATABASES, indirect=True)


# --- the command line -----------------------------------------------------------------------------


@ON_SQLITE
def test_the_source_may_stand_in_a_variable(database: Database, accounts: Accounts, tmp_path: Path) -> None:
    source = Exported(tmp_path, accounts)
    source.add_user()
    source.move(dry_run=True)
    done = run_command(
        database.url,
        *("import", "knox", "--organization", source.organization_id, "--json"),
        settings={"import_source": str(tmp_path / "export.jsonl")},
    )
    assert done.code == 0, done.error
    assert done.document["users"] == {"planned": 1, "new": 1}


@ON_SQLITE
@pytest.mark.parametrize(
    "url",
    [
        "postgresql://reader:p?asswordsecret@127.0.0.1/x",
        "postgresql://reader:p#asswordsecret@127.0.0.1/x",
        "postgresql://reader:1#asswordsecret@127.0.0.1/x",
        "postgresql://reader:p/asswordsecret@127.0.0.1/x",
        "postgresql://reader:p@asswordsecret@127.0.0.1/x",
        "postgresql://reader:p[asswordsecret@127.0.0.1/x",
        "postgresql://reader:passwordsecret@127.0.0.1:asswordsecret/x",
        "mysql://reader:p/asswordsecret@127.0.0.1/x",
        "mysql://reader:p[asswordsecret@127.0.0.1/x",
        "mysql://reader:1#asswordsecret@127.0.0.1/x",
    ],
)
def test_a_url_that_cannot_be_read_shows_nothing_of_its_password(
    database: Database, accounts: Accounts, url: str
) -> None:
    done = run_command(database.url, "import", "knox", "--organization", "acme", url)
    assert done.code == 1
    assert "asswordsecret" not in done.out + done.error
    assert "Percent-encode" in done.error
    assert "Traceback" not in done.error
    assert "bug" not in done.error


def test_a_url_with_several_hosts_can_be_read() -> None:
    _check_url("postgresql://reader:p%40ss@one:5432,two:5433/streams?sslmode=require")


@ON_SQLITE
@pytest.mark.parametrize("url", ["http://127.0.0.1:99999", "http://[", "http://127.0.0.1:x"])
def test_shadow_refuses_a_url_that_is_none(database: Database, accounts: Accounts, url: str) -> None:
    done = run_command(database.url, "shadow", url, "http://127.0.0.1:9")
    assert done.code == 2
    assert "A URL begins with" in done.error


@ON_SQLITE
def test_deeply_nested_lines_are_passed_over_or_refused(
    database: Database, accounts: Accounts, tmp_path: Path
) -> None:
    file = tmp_path / "deep.jsonl"
    file.write_text('{"authorization":' + "[" * 200_000 + "\n")
    shadowed = run_command(
        database.url, "shadow", "http://127.0.0.1:9", "http://127.0.0.1:9", "--file", str(file)
    )
    assert (shadowed.code, shadowed.error) == (0, "")
    imported = run_command(database.url, "import", "knox", "--organization", "acme", str(file))
    assert imported.code == 1
    assert "line 1" in imported.error


# --- kinds that a server does not know ------------------------------------------------------------


@ON_EACH_STORE
def test_a_kind_that_cannot_be_read_takes_nothing_down(database: Database, accounts: Accounts) -> None:
    memory, token = Memory(accounts), accounts.log_in(accounts.add_person())
    try:
        # As a newer version may write it: this server accepts none of them, and goes on.
        accounts.sql("INSERT INTO imported_kind VALUES ('sha3_text', '', 40)")
        time.sleep(0.3)
        assert memory.accepts(token)
        assert not memory.accepts("0" * 40)
    finally:
        memory.close()
        accounts.sql("DELETE FROM imported_kind WHERE algorithm = 'sha3_text'")


@ON_EACH_STORE
@pytest.mark.parametrize(("prefix", "characters"), [("", 41), ("", 30), ("", 130), ("x" * 11, 64)])
def test_the_database_holds_no_kind_of_another_form(
    database: Database, accounts: Accounts, prefix: str, characters: Any
) -> None:
    statement = "INSERT INTO imported_kind VALUES ('sha512_hex', :prefix, :characters)"
    with pytest.raises(Exception, match=r"imported_kind|value too long"):
        accounts.sql(statement, prefix=prefix, characters=characters)
