"""How often tokens are used: every use is counted once, and seen by whom it concerns only."""

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from nightlatch.hot import uses as uses_module
from nightlatch.hot.uses import Uses
from nightlatch.model.errors import StoreUnavailable
from nightlatch.model.names import Email, OrganizationId, Role, TokenId, UserId
from nightlatch.model.session import Session, SessionId
from nightlatch.model.standing import Identity
from nightlatch.model.usage import DAYS, Usage
from nightlatch.model.use import Use
from nightlatch.store import pruning
from nightlatch.usecases import flush_uses as flush_module
from nightlatch.usecases import prune as prune_module
from nightlatch.usecases.flush_uses import flush_uses
from nightlatch.usecases.prune import prune_expired
from nightlatch.usecases.show_usage import show_usage
from tests.accounts import ADDRESS, Accounts, Person
from tests.conftest import Database
from tests.serving import Serving
from tests.sockets import exchange, with_token

pytestmark = pytest.mark.every_release

DAY_SECONDS = 86_400
VERIFY = "/api/auth/verify/"
NEVER = (0,) * DAYS


@pytest.fixture
def owner(accounts: Accounts) -> Person:
    return accounts.add_person()


@pytest.fixture(autouse=True)
def nothing_gathered(accounts: Accounts) -> Iterator[None]:
    yield
    accounts.services.uses.take()


def digest_of(token: str) -> bytes:
    return sha256(token.encode()).digest()


def id_of(token: str) -> TokenId:
    return TokenId(token[4:16])


def session_of(accounts: Accounts, person: Person, role: Role = Role.OWNER) -> Session:
    ((user_id,),) = accounts.sql('SELECT id FROM "user" WHERE email = :email', email=person.username)
    now = datetime.now(UTC)
    identity = Identity(OrganizationId(person.organization_id), UserId(user_id), Email(person.username), role)
    return Session(SessionId("a" * 12), b"", identity, "Acme", now, now, now + timedelta(hours=1), now)


def shown(accounts: Accounts, person: Person, tokens: Sequence[str] = (), role: Role = Role.OWNER) -> Usage:
    return accounts.do(show_usage, session_of(accounts, person, role), [id_of(token) for token in tokens])


def first_day(accounts: Accounts, person: Person) -> int:
    """The first day that is shown, in days since 1970."""
    return (shown(accounts, person).first_day - datetime(1970, 1, 1).date()).days


def use(accounts: Accounts, token: str, times: int = 1, seconds: float | None = None) -> None:
    moment = datetime.now(UTC).timestamp() if seconds is None else seconds
    for _ in range(times):
        accounts.services.uses.note(digest_of(token), moment, ADDRESS)


def stored(accounts: Accounts, token: str) -> int:
    """How often the token was used, on whichever days."""
    ((number,),) = accounts.sql(
        "SELECT coalesce(sum(uses), 0) FROM token_usage WHERE token_id = :id", id=id_of(token)
    )
    return int(number)


def insert_usage(accounts: Accounts, person: Person, day: int, token_id: str, number: int = 1) -> None:
    accounts.sql(
        "INSERT INTO token_usage (organization_id, day, token_id, uses) "
        f"VALUES (:organization, {day}, :token, {number})",
        organization=person.organization_id,
        token=token_id,
    )


def insert_event(accounts: Accounts, person: Person, kind: str, count: int = 1, days_ago: int = 0) -> None:
    moment = (datetime.now(UTC) - timedelta(days=days_ago)).timestamp()
    at = int(moment * 1_000_000) if accounts.engines.sqlite_file is not None else f"to_timestamp({moment})"
    accounts.sql(
        "INSERT INTO event (at, kind, actor, organization_id, count) "
        f"VALUES ({at}, :kind, 'anonymous', :organization, {count})",
        kind=kind,
        organization=person.organization_id,
    )


def refuse_usage(accounts: Accounts, token: str) -> None:
    """Let the database refuse to count uses of that token."""
    if accounts.engines.sqlite_file is not None:
        accounts.sql(
            f"CREATE TRIGGER test_no_usage BEFORE INSERT ON token_usage WHEN NEW.token_id = '{id_of(token)}' "
            "BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    else:
        accounts.sql(
            "ALTER TABLE token_usage "
            f"ADD CONSTRAINT test_no_usage CHECK (token_id <> '{id_of(token)}') NOT VALID"
        )


def admit_usage(accounts: Accounts) -> None:
    if accounts.engines.sqlite_file is not None:
        accounts.sql("DROP TRIGGER test_no_usage")
    else:
        accounts.sql("ALTER TABLE token_usage DROP CONSTRAINT test_no_usage")


def test_every_verify_is_counted_once_over_two_workers_and_their_stop(
    database: Database, accounts: Accounts, owner: Person, tmp_path: Path
) -> None:
    tokens = [accounts.log_in(owner) for _ in range(3)]
    child = accounts.issue_child(tokens[0], ["GET"], ["/a"])
    told = [("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/a")]
    serving = Serving(
        database.url, tmp_path / "log", workers=2, use_flush_seconds=0.05, trusted_proxies="127.0.0.1"
    ).wait_ready()

    def verify(number: int) -> int:
        token = [*tokens, child][number % 4]
        return exchange(serving.port, "GET", VERIFY, [*with_token(token), *told]).status

    try:
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(verify, range(400))) == {200}
        refused = exchange(serving.port, "GET", VERIFY, [*with_token(child), ("X-Forwarded-Method", "PUT")])
        assert refused.status == 403
    finally:
        assert serving.stop() == 0
    assert [stored(accounts, token) for token in tokens] == [200, 100, 100]
    usage = shown(accounts, owner, tokens)
    assert sum(usage.verifications) == 400
    assert [sum(usage.per_token[id_of(token)]) for token in tokens] == [200, 100, 100]


def test_what_a_flush_could_not_write_is_counted_by_the_next_and_only_once(
    accounts: Accounts, owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flush_module, "BATCH_USES", 2)
    tokens = sorted((accounts.log_in(owner) for _ in range(6)), key=digest_of)
    for token in tokens:
        use(accounts, token, 3)
    refuse_usage(accounts, tokens[3])  # in the second of three batches
    try:
        with pytest.raises((StoreUnavailable, IntegrityError)):
            accounts.do(flush_uses)
        for token in tokens:
            use(accounts, token)
        with pytest.raises((StoreUnavailable, IntegrityError)):
            accounts.do(flush_uses)
        assert stored(accounts, tokens[3]) == 0
    finally:
        admit_usage(accounts)
    accounts.do(flush_uses)
    assert [stored(accounts, token) for token in tokens] == [4] * 6
    assert accounts.do(flush_uses) == 0
    assert [stored(accounts, token) for token in tokens] == [4] * 6


def test_a_flush_that_is_cancelled_anywhere_loses_nothing_and_counts_nothing_twice(
    accounts: Accounts, owner: Person
) -> None:
    token = accounts.log_in(owner)

    async def flush_and_cancel(seconds: float) -> None:
        task = asyncio.create_task(flush_uses(accounts.services))
        await asyncio.wait([task], timeout=seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    for number in range(60):
        use(accounts, token)
        accounts.run(flush_and_cancel(number * 0.0002))
        accounts.do(flush_uses)
        assert stored(accounts, token) == number + 1


def test_processes_that_flush_the_same_tokens_while_others_end_lose_nothing(
    database: Database, accounts: Accounts, owner: Person
) -> None:
    others = [accounts.add_person() for _ in range(3)]
    kept = [accounts.log_in(person) for person in others for _ in range(15)]
    rounds, processes = 12, [accounts, Accounts(database.url), Accounts(database.url)]
    try:
        ending = [[accounts.log_in(owner) for _ in range(rounds)]]

        def flush(process: Accounts) -> None:
            for _ in range(rounds):
                for token in kept if process is not accounts else reversed(kept):
                    use(process, token, 2)
                for token in ending[0]:
                    use(process, token)
                process.do(flush_uses)

        def end() -> None:
            for token in ending[0]:
                accounts.sql("DELETE FROM token WHERE id = :id", id=id_of(token))

        with ThreadPoolExecutor(4) as pool:
            for done in [*(pool.submit(flush, process) for process in processes), pool.submit(end)]:
                done.result(60)
    finally:
        for process in processes[1:]:
            process.close()
    assert {stored(accounts, token) for token in kept} == {2 * rounds * len(processes)}
    assert not accounts.sql("SELECT token_id FROM token_use WHERE token_id NOT IN (SELECT id FROM token)")


def test_a_token_that_is_gone_is_passed_over_and_the_others_are_counted(
    accounts: Accounts, owner: Person
) -> None:
    gone, kept = accounts.log_in(owner), accounts.log_in(owner)
    use(accounts, gone)
    use(accounts, kept)
    accounts.sql("DELETE FROM token WHERE id = :id", id=id_of(gone))
    assert accounts.do(flush_uses) == 2
    assert (stored(accounts, gone), stored(accounts, kept)) == (0, 1)


def test_a_day_ends_at_midnight_in_utc_and_thirty_are_shown(accounts: Accounts, owner: Person) -> None:
    token = accounts.log_in(owner)
    begin = first_day(accounts, owner) * DAY_SECONDS
    moments = {
        begin - 0.5: 1,  # the day before the first that is shown
        begin: 2,
        begin + DAY_SECONDS - 0.001: 4,
        begin + DAY_SECONDS: 8,
        begin + (DAYS - 1) * DAY_SECONDS: 16,  # today
        begin + (DAYS + 1) * DAY_SECONDS: 32,  # a clock that was set back has left this
    }
    for moment, times in moments.items():
        use(accounts, token, times, moment)
        accounts.do(flush_uses)
    usage = shown(accounts, owner, [token])
    if (usage.first_day - datetime(1970, 1, 1).date()).days * DAY_SECONDS != begin:
        return  # it has just become midnight
    assert usage.per_token == {id_of(token): (6, 8, *(0,) * (DAYS - 3), 16)}
    assert usage.verifications == usage.per_token[id_of(token)]
    assert stored(accounts, token) == 63


def test_uses_of_one_day_add_up(accounts: Accounts, owner: Person) -> None:
    token = accounts.log_in(owner)
    for times in (1, 5, 1000):
        use(accounts, token, times)
        accounts.do(flush_uses)
    assert stored(accounts, token) == 1006


def test_an_owner_sees_the_organizations_usage(accounts: Accounts, owner: Person) -> None:
    member = accounts.add_person_to(owner.organization_id)
    owners, members = accounts.log_in(owner), accounts.log_in(member)
    use(accounts, owners, 3)
    use(accounts, members, 4)
    accounts.do(flush_uses)
    for days_ago in (0, 29, 29, 30):
        insert_event(accounts, owner, "login", days_ago=days_ago)
    for number, kind in enumerate(("login_refused", "throttled", "limit_reached"), 1):
        insert_event(accounts, owner, kind, number)
    insert_event(accounts, owner, "logout", 1000)
    usage = shown(accounts, owner, [owners, members])
    assert [sum(usage.per_token[id_of(token)]) for token in (owners, members)] == [3, 4]
    assert usage.verifications == (*NEVER[1:], 7)
    assert usage.logins == (2, *NEVER[2:], 2 + 1)
    assert usage.refusals == (*NEVER[1:], 6)
    # What a token was used for goes on counting when it has ended.
    accounts.sql("DELETE FROM token WHERE id = :id", id=id_of(members))
    usage = shown(accounts, owner, [owners])
    assert usage.verifications == (*NEVER[1:], 7)
    assert usage.per_token == {id_of(owners): (*NEVER[1:], 3)}


def test_a_member_sees_their_own_part_of_it(accounts: Accounts, owner: Person) -> None:
    member = accounts.add_person_to(owner.organization_id)
    elsewhere = accounts.join(member, accounts.add_person().organization_id)
    owners, members, others = (accounts.log_in(person) for person in (owner, member, elsewhere))
    for times, token in enumerate((owners, members, others), 3):
        use(accounts, token, times)
    accounts.do(flush_uses)
    insert_event(accounts, owner, "login_refused", 9)
    usage = shown(accounts, member, [owners, members, others], Role.MEMBER)
    assert usage.per_token == {
        id_of(owners): NEVER,
        id_of(members): (*NEVER[1:], 4),
        id_of(others): NEVER,
    }
    assert usage.verifications == (*NEVER[1:], 4)
    assert usage.logins == (*NEVER[1:], 1)
    assert usage.refusals == NEVER


def test_another_organization_finds_nothing(accounts: Accounts, owner: Person) -> None:
    token = accounts.log_in(owner)
    use(accounts, token, 3)
    accounts.do(flush_uses)
    insert_event(accounts, owner, "throttled", 9)
    stranger = accounts.add_person()
    for role in Role:
        usage = shown(accounts, stranger, [token], role)
        assert usage.per_token == {id_of(token): NEVER}
        assert usage.verifications == usage.logins == usage.refusals == NEVER


def test_nothing_is_asked_for_and_nothing_was_used(accounts: Accounts, owner: Person) -> None:
    usage = shown(accounts, owner)
    assert usage.per_token == {}
    assert usage.verifications == usage.logins == usage.refusals == NEVER
    assert abs((datetime.now(UTC).date() - usage.first_day).days - (DAYS - 1)) <= 1


def test_of_a_days_millions_of_events_a_bounded_number_is_looked_at(
    accounts: Accounts, owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nightlatch.store import token_usage

    monkeypatch.setattr(token_usage, "LOGINS_MAX", 5)
    monkeypatch.setattr(token_usage, "ROWS_MAX", 3)
    for _ in range(7):
        insert_event(accounts, owner, "login_refused", 10)
        insert_event(accounts, owner, "throttled", 1, 29)
        insert_event(accounts, owner, "login")
    insert_event(accounts, owner, "login", days_ago=1)
    usage = shown(accounts, owner)
    assert usage.refusals == (3, *NEVER[2:], 30)
    assert usage.logins == (*NEVER[2:], 1, 5)
    member = shown(accounts, owner, role=Role.MEMBER)
    assert member.logins == NEVER  # those are nobody's


def test_usage_of_long_ago_is_pruned_in_batches_and_the_rest_stays(
    accounts: Accounts, owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (pruning, prune_module):
        monkeypatch.setattr(module, "BATCH_ROWS", 3)
    accounts.sql("DELETE FROM token_usage")
    today = first_day(accounts, owner) + DAYS - 1
    for days_ago in (0, 29, 39, 41, 42, 100, 101, 102, 103, 104):
        insert_usage(accounts, owner, today - days_ago, secrets.token_hex(6))
    accounts.do(prune_expired)
    left = {row[0] for row in accounts.sql("SELECT day FROM token_usage")}
    assert left == {today, today - 29, today - 39}


def test_uses_in_memory_stay_bounded_and_known_tokens_go_on_counting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uses_module, "TOKENS_MAX", 2)
    uses = Uses()
    for seconds, digest in enumerate((b"a", b"b", b"c", b"a")):
        uses.note(digest, seconds, ADDRESS)
    first = uses.take()
    assert first == [Use(b"a", 3, ADDRESS, 2), Use(b"b", 1, ADDRESS, 1)]
    uses.note(b"b", 9, "192.0.2.9")
    uses.note(b"d", 9, ADDRESS)
    uses.put_back(first)  # there is no room for the first any more
    assert uses.take() == [Use(b"b", 9, "192.0.2.9", 2), Use(b"d", 9, ADDRESS, 1)]
    assert uses.take() == []
    uses.put_back(first[:1])
    uses.note(b"a", 10, ADDRESS)
    assert uses.take() == [Use(b"a", 10, ADDRESS, 3)]
