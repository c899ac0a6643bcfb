"""What the old service has ended is ended here, and what has ended here does not come back."""

import time
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest

from nightlatch.cli.moving import _document, _lines
from nightlatch.model.errors import CredentialsRejected, Refused
from nightlatch.model.moving import Reason
from nightlatch.usecases.disable_user import disable_user, enable_user
from nightlatch.usecases.plan_import import TokenForm
from nightlatch.usecases.set_password import set_password
from tests.accounts import PASSWORD, Accounts, Person
from tests.conftest import DATABASES, Database, new_database
from tests.exported import Exported, django_hash, from_now, reasons
from tests.memory import Memory

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
ON_EACH_STORE = pytest.mark.parametrize("database", DATABASES, indirect=True)


@pytest.fixture
def accounts(database: Database, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Accounts]:
    """Each test's own: of what others imported, nothing is in its source."""
    made = Accounts(new_database(database.kind, request, tmp_path).url)
    yield made
    made.close()


@pytest.fixture
def source(tmp_path: Path, accounts: Accounts) -> Exported:
    """A service with two users, who do not own their organization."""
    made = Exported(tmp_path, accounts)
    made.add_user()
    made.add_user()
    return made


def person(source: Exported, key: int = 1) -> Person:
    """A user of it, with the password of there."""
    return Person(source.organization_id, source.users[key]["username"], "the password of there")


def is_let_in(accounts: Accounts, who: Person) -> bool:
    """Whether they can log in."""
    try:
        accounts.log_in(who)
    except CredentialsRejected:
        return False
    return True


# --- who is shut out there ------------------------------------------------------------------------


@ON_EACH_STORE
def test_a_password_that_is_unusable_there_is_unusable_here(
    database: Database, accounts: Accounts, source: Exported
) -> None:
    source.add_user()
    token = source.add_token()
    source.move()
    for key, hashed in enumerate(("!unusable", "", "homemade$1$abc"), 1):
        source.users[key]["password"] = hashed
    assert source.follow(dry_run=True).followed["passwords_changed"] == 3
    assert source.follow().followed["passwords_changed"] == 3
    assert not any(is_let_in(accounts, person(source, key)) for key in (1, 2, 3))
    # As there: it goes on until it is ended, or its user is disabled.
    assert source.accepted(token) == [True]
    assert source.follow(dry_run=True).followed["passwords_changed"] == 0


@ON_SQLITE
def test_a_password_that_was_changed_here_stays(
    database: Database, accounts: Accounts, source: Exported
) -> None:
    who = person(source)
    source.move()
    assert is_let_in(accounts, who)
    source.users[1]["password"] = "!"
    assert source.follow().followed["passwords_changed"] == 0
    assert is_let_in(accounts, who)


@ON_EACH_STORE
def test_a_user_who_is_deleted_there_is_disabled_here(
    database: Database, accounts: Accounts, source: Exported
) -> None:
    token, who = source.add_token(), person(source)
    untouched = accounts.add_person()
    source.move()
    del source.users[1]
    assert source.follow(dry_run=True).followed["users_disabled"] == 1
    assert is_let_in(accounts, who)
    report = source.follow()
    assert report.followed["users_disabled"] == 1
    assert reasons(report)[Reason.USER_GONE] == 1
    assert not is_let_in(accounts, who)
    assert source.accepted(token) == [False]
    assert is_let_in(accounts, person(source, 2))
    assert is_let_in(accounts, untouched)
    assert source.follow().followed["users_disabled"] == 0


@ON_SQLITE
def test_an_address_that_was_changed_there_is_a_new_user_and_the_old_one_is_disabled(
    database: Database, accounts: Accounts, source: Exported
) -> None:
    who = person(source)
    source.move()
    source.users[1]["username"] = f"new-{who.username}"
    report = source.follow()
    assert (report.users.new, report.followed["users_disabled"]) == (1, 1)
    assert not is_let_in(accounts, who)
    assert is_let_in(accounts, person(source))


@ON_SQLITE
def test_users_who_share_an_address_since_are_not_gone(
    database: Database, accounts: Accounts, source: Exported
) -> None:
    who = person(source)
    source.move()
    source.users[2]["username"] = who.username
    assert source.users[2] == source.users[1]
    source.add_user()
    source.add_user()
    source.move()
    report = source.follow()
    assert report.followed["users_disabled"] == 1  # the other address is gone
    assert is_let_in(accounts, who)


@ON_SQLITE
@pytest.mark.parametrize("how", ["inactive", "gone"])
def test_the_last_owner_is_not_disabled_and_that_is_told(
    database: Database, accounts: Accounts, source: Exported, how: str
) -> None:
    who = person(source)
    source.move()
    role = "UPDATE membership SET role = 'owner' WHERE organization_id = :id AND user_id = "
    role += '(SELECT id FROM "user" WHERE email = :email)'
    accounts.sql(role, id=who.organization_id, email=who.username)
    if how == "gone":
        del source.users[1]
    else:
        source.users[1]["is_active"] = False
    for dry_run in (True, False):
        report = source.follow(dry_run=dry_run)
        assert report.followed["users_disabled"] == 0
        assert report.remarks.counts[Reason.LAST_OWNER] == 1
        assert report.remarks.examples[Reason.LAST_OWNER] == [who.username]
    assert is_let_in(accounts, who)


# --- a source that is not the one -----------------------------------------------------------------


@ON_SQLITE
def test_following_an_empty_source_is_refused(
    database: Database, accounts: Accounts, source: Exported
) -> None:
    token = source.add_token()
    source.move()
    source.users, source.tokens = {}, {}
    for more in ({}, {"end_most": True}, {"dry_run": True}):
        with pytest.raises(Refused, match="no users"):
            source.follow(**more)
    assert source.accepted(token) == [True]


@ON_SQLITE
def test_following_does_not_end_most_tokens_unless_it_is_asked_to(
    database: Database, accounts: Accounts, source: Exported
) -> None:
    tokens = [source.add_token() for _ in range(5)]
    source.move()
    for token in tokens[:3]:
        source.remove(token)
    source.add_user()
    for dry_run in (True, False):
        with pytest.raises(Refused, match=r"3 of the 5 imported tokens.*--end-most"):
            source.follow(dry_run=dry_run)
    assert source.accepted(*tokens) == [True] * 5
    assert not is_let_in(accounts, person(source, 3))  # refused before anything was brought in
    assert source.follow(end_most=True).followed["tokens_ended"] == 3
    assert source.accepted(*tokens) == [False] * 3 + [True] * 2


@ON_SQLITE
def test_following_does_not_disable_most_users_unless_it_is_asked_to(
    database: Database, accounts: Accounts, source: Exported
) -> None:
    source.add_user()
    source.move()
    who = [person(source, key) for key in (1, 2, 3)]
    del source.users[1], source.users[2]
    with pytest.raises(Refused, match=r"2 of the 3 imported users.*--end-most"):
        source.follow()
    assert is_let_in(accounts, who[0])
    assert source.follow(end_most=True).followed["users_disabled"] == 2
    assert [is_let_in(accounts, each) for each in who] == [False, False, True]


# --- what goes on there ---------------------------------------------------------------------------


@ON_EACH_STORE
def test_a_token_that_was_refreshed_there_after_it_had_expired_here_is_accepted_again(
    database: Database, accounts: Accounts, source: Exported
) -> None:
    tokens = [source.add_token() for _ in range(3)]
    logged_out = source.add_token()
    source.move()
    memory = Memory(accounts)
    try:
        assert memory.accepts(tokens[0])
        accounts.sql(
            f"UPDATE token SET expiry = {accounts.an_hour_ago} WHERE organization_id = :id",
            id=source.organization_id,
        )
        # As if the limit had been reached by others meanwhile.
        accounts.sql("UPDATE organization SET token_limit = 1 WHERE id = :id", id=source.organization_id)
        while memory.accepts(tokens[0]):
            time.sleep(0.05)
        for token in tokens[:2]:
            source.row_of(token)["expiry"] = from_now(36000)
        source.row_of(tokens[2])["expiry"] = from_now(-60)
        source.remove(logged_out)
        assert source.follow(dry_run=True).followed["expiries_moved"] == 2
        report = source.follow()
        assert report.followed["expiries_moved"] == 2
        assert report.followed["tokens_ended"] == 0
        every = [*tokens, logged_out]
        assert [memory.accepts(token) for token in every] == [True, True, False, False]
        limit = "SELECT token_limit FROM organization WHERE id = :id"
        assert accounts.sql(limit, id=source.organization_id) == [(1,)]
        assert [over.live for over in report.over_limit] == [2]
        assert source.follow().followed["expiries_moved"] == 0
    finally:
        memory.close()


@ON_SQLITE
def test_tokens_of_knox_4_are_left_out_where_knox_5_refuses_them(
    database: Database, accounts: Accounts, source: Exported
) -> None:
    old = source.add_old_token()
    report = source.move()
    assert Reason.TOKEN_OF_OLD_KNOX not in reasons(report)
    assert source.accepted(old) == [True]  # knox 4 accepts it
    older = source.add_old_token()
    new = [source.add_token() for _ in range(3)]
    report = source.move()
    assert reasons(report)[Reason.TOKEN_OF_OLD_KNOX] == 2
    assert source.accepted(older, *new) == [False] + [True] * 3
    # Now that knox 5 refuses it there, it ends here, too.
    assert source.follow().followed["tokens_ended"] == 1
    assert source.accepted(old) == [False]
    assert source.move(TokenForm(old_knox=True)).tokens.new == 1
    assert source.accepted(older, old) == [True, False]


# --- what has ended here --------------------------------------------------------------------------


@ON_SQLITE
@pytest.mark.parametrize("what", ["password", "disabled"])
def test_no_token_comes_of_a_password_that_was_changed_here(
    database: Database, accounts: Accounts, source: Exported, what: str
) -> None:
    who = person(source)
    source.move()
    if what == "password":
        accounts.do(set_password, who.username, PASSWORD)
    else:
        accounts.do(disable_user, who.username)
        accounts.do(enable_user, who.username)
    token, other = source.add_token(), source.add_token(2)
    for follow in (False, True):
        for dry_run in (True, False):
            report = source.move(follow=follow, dry_run=dry_run)
            assert reasons(report)[Reason.ENDED_HERE] == 1
    assert source.accepted(token, other) == [False, True]


@ON_SQLITE
def test_tokens_of_a_password_that_was_changed_there_come_along(
    database: Database, accounts: Accounts, source: Exported
) -> None:
    source.move()
    for password in ("another one", "a third one"):
        source.users[1]["password"] = django_hash(password)
        assert source.follow().followed["passwords_changed"] == 1
        token = source.add_token()
        assert source.follow().tokens.new == 1
        assert source.accepted(token) == [True]
    who = Person(source.organization_id, source.users[1]["username"], "a third one")
    assert is_let_in(accounts, who)
    source.add_token()
    assert source.follow().tokens.new == 1
    accounts.do(set_password, who.username, PASSWORD)
    source.add_token()
    report = source.follow()
    assert report.tokens.new == 0
    assert reasons(report)[Reason.ENDED_HERE] == 4


@ON_EACH_STORE
def test_a_password_that_was_changed_there_ends_the_tokens_that_were_given_out_here(
    database: Database, accounts: Accounts, source: Exported
) -> None:
    # A password of which bcrypt reads the beginning is the only one that stays hashed as it was.
    password = "x" * 80
    hashed = bcrypt.hashpw(password[:72].encode(), bcrypt.gensalt(4)).decode()
    source.users[1]["password"] = f"bcrypt${hashed}"
    imported = source.add_token()
    source.move()
    who = Person(source.organization_id, source.users[1]["username"], password)
    native, others = accounts.log_in(who), accounts.log_in(person(source, 2))
    source.users[1]["password"] = django_hash("another one")
    source.follow()
    assert source.accepted(native, imported, others) == [False, True, True]


# --- the report -----------------------------------------------------------------------------------


@ON_SQLITE
@pytest.mark.parametrize("policy", ["refuse", "replace_oldest", "replace_least_recently_used"])
def test_the_report_says_what_becomes_of_more_tokens_than_the_limit(
    database: Database, accounts: Accounts, source: Exported, policy: str
) -> None:
    source.move()
    accounts.sql(
        "UPDATE organization SET token_limit = 2, limit_policy = :policy WHERE id = :id",
        policy=policy,
        id=source.organization_id,
    )
    for _ in range(3):
        source.add_token()
    report = source.move(dry_run=True)
    text = "\n".join(_lines(report))
    assert f"{source.organization_id} (3 of 2)" in text
    assert ("give out none" in text) == (policy == "refuse")
    assert ("the next login ends" in text) == (policy != "refuse")
    assert [over["limit_policy"] for over in _document(report)["over_limit"]] == [policy]
