"""Asking from threads: one event loop in each process, opened by the first question, also after a fork."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nightlatch.middleware import asgi, wsgi
from nightlatch.middleware.asking import Asking
from nightlatch.middleware.blocking import Blocking
from nightlatch.middleware.in_process import InProcess
from nightlatch.middleware.over_http import OverHttp
from nightlatch.middleware.question import Ask, BackEnd, Question
from nightlatch.middleware.refusal import Refusal
from tests.accounts import Accounts, Person
from tests.serving import Serving
from tests.sockets import exchange, with_token

AT_EXIT = """
import sys
from nightlatch.middleware.blocking import Blocking
from nightlatch.middleware.in_process import InProcess
from nightlatch.middleware.question import Question
Blocking(InProcess(sys.argv[1])).ask(Question(sys.stdin.buffer.read(), "192.0.2.7"))
"""


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Accounts]:
    made = Accounts(f"sqlite:///{tmp_path_factory.mktemp('database')}/nightlatch.db")
    yield made
    made.close()


@pytest.fixture(scope="module")
def server(accounts: Accounts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    serving = Serving(accounts.database_url, tmp_path_factory.mktemp("server") / "log").wait_ready()
    yield serving
    assert serving.stop() == 0


@pytest.fixture(scope="module")
def person(accounts: Accounts) -> Person:
    return accounts.add_person(token_limit=1000)


@pytest.fixture(params=["in process", "over HTTP"])
def asking(request: pytest.FixtureRequest, accounts: Accounts, server: Serving) -> Iterator[Blocking]:
    back_end: BackEnd = InProcess(accounts.database_url)
    if request.param == "over HTTP":
        back_end = OverHttp(f"http://127.0.0.1:{server.port}")
    made = Blocking(back_end)
    yield made
    made.close()


def question(token: str) -> Question:
    return Question(f"Token {token}".encode())


def test_all_threads_share_one_loop(asking: Blocking, accounts: Accounts, person: Person) -> None:
    tokens = [accounts.log_in(person) for _ in range(20)]
    with ThreadPoolExecutor(20) as pool:
        callers = list(pool.map(lambda token: asking.ask(question(token)), tokens))
    assert [caller.token_id for caller in callers] == [token[4:16] for token in tokens]
    assert [thread.name for thread in threading.enumerate()].count("nightlatch") == 1


def test_a_forked_process_asks_for_itself_and_is_as_strict(
    asking: Blocking, accounts: Accounts, person: Person, server: Serving
) -> None:
    token = accounts.log_in(person)
    assert asking.ask(question(token)).email == person.username
    told, tell = os.pipe()
    go, let_go = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(tell, asking.ask(question(token)).email.encode() + b"\n")
            os.read(go, 1)
            asking.ask(question(token))
            os.write(tell, b"accepted")
        except Refusal as refusal:
            os.write(tell, str(refusal.status).encode())
        finally:
            os._exit(0)
    assert os.read(told, 100).decode() == f"{person.username}\n"
    assert exchange(server.port, "POST", "/api/auth/logout/", with_token(token)).status == 204
    os.write(let_go, b"x")
    assert os.read(told, 100) == b"401"
    os.waitpid(pid, 0)
    with pytest.raises(Refusal):
        asking.ask(question(token))
    for end in (told, tell, go, let_go):
        os.close(end)


def test_uses_are_written_when_the_process_ends(accounts: Accounts, person: Person) -> None:
    token = accounts.log_in(person)
    begun = time.monotonic()
    run = subprocess.run(
        [sys.executable, "-c", AT_EXIT, accounts.database_url],
        input=f"Token {token}".encode(),
        capture_output=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, b"")
    assert time.monotonic() - begun < 10
    rows = accounts.sql("SELECT address FROM token_use WHERE token_id = :id", id=token[4:16])
    assert [row[0] for row in rows] == ["192.0.2.7"]


def test_a_back_end_that_cannot_be_opened_is_503_and_tried_again(
    accounts: Accounts, person: Person, tmp_path: Path
) -> None:
    token = accounts.log_in(person)
    link = tmp_path / "nightlatch.db"
    asking = Blocking(InProcess(f"sqlite:///{link}"))
    for _ in range(2):
        with pytest.raises(Refusal) as caught:
            asking.ask(question(token))
        assert caught.value.status == 503
    other = Accounts(f"sqlite:///{link}")
    theirs = other.log_in(other.add_person())
    assert asking.ask(question(theirs)).token_id == theirs[4:16]
    with pytest.raises(Refusal) as caught:
        asking.ask(question(token))
    assert caught.value.status == 401
    asking.close()
    other.close()


def test_each_event_loop_opens_the_back_end_once(server: Serving, accounts: Accounts, person: Person) -> None:
    opened: list[int] = []

    class Counted:
        @asynccontextmanager
        async def opened(self) -> AsyncIterator[Ask]:
            opened.append(threading.get_ident())
            async with OverHttp(f"http://127.0.0.1:{server.port}").opened() as ask:
                yield ask

    asking = Asking(Counted())
    question = Question(f"Token {accounts.log_in(person)}".encode(), "192.0.2.7")

    async def ask_often() -> None:
        for _ in range(20):
            callers = await asyncio.gather(*(asking.ask(question) for _ in range(5)))
            assert {caller.email for caller in callers} == {person.username}
        await asking.close()

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(asyncio.run, ask_often()) for _ in range(2)]:
            done.result(30)
    assert len(opened) == 2


@pytest.mark.parametrize("middleware", [asgi.AuthMiddleware, wsgi.AuthMiddleware])
def test_one_text_is_no_list_of_public_paths(middleware: Any, server: Serving) -> None:
    with pytest.raises(TypeError, match="public_paths"):
        middleware(None, OverHttp(f"http://127.0.0.1:{server.port}"), public_paths="/health/")
