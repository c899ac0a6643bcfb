"""The back end that asks over HTTP: what it joins, what it refuses, how long it waits; over real sockets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from nightlatch.middleware.caller import Caller
from nightlatch.middleware.over_http import QUESTIONS_MAX, OverHttp
from nightlatch.middleware.question import Ask, Question
from nightlatch.middleware.refusal import Refusal
from nightlatch.model.errors import CannotStart

TOKEN = "nlt_4fTz0aB7Qm2K_secret"
QUESTION = Question(f"Token {TOKEN}".encode(), "192.0.2.7", None, "POST", "/a%2Fb?x=1", "https://example.com")
IDENTITY = (
    "X-Auth-Organization: auhf2k\r\nX-Auth-User: m%C3%B8@example.com\r\nX-Auth-Role: owner\r\n"
    "X-Auth-Token-Id: 4fTz0aB7Qm2K\r\nX-Auth-Expiry: 2026-12-24T10:00:00.000000Z\r\n"
)


def answer(status: int = 200, headers: str = IDENTITY, body: str = "") -> bytes:
    return f"HTTP/1.1 {status} X\r\n{headers}Content-Length: {len(body)}\r\n\r\n{body}".encode()


ACCEPTED = answer()
ENDED = answer(401, "", '{"detail": "Invalid token."}')


class Upstream:
    """In the place of Nightlatch: what it is asked waits here until the test answers it."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[tuple[bytes, Callable[[bytes | None], None]]] = asyncio.Queue()
        self.connections = 0
        self.open: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open.add(writer)

        def say(reply: bytes | None) -> None:
            """Answer, or with None close the connection."""
            if reply is None:
                writer.close()
            else:
                writer.write(reply)

        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                await self.asked.put((await reader.readuntil(b"\r\n\r\n"), say))
        writer.close()

    async def close(self) -> None:
        """End every connection."""
        for writer in self.open:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def next(self) -> tuple[bytes, Callable[[bytes | None], None]]:
        """The next question that has arrived, and what answers it."""
        return await asyncio.wait_for(self.asked.get(), 10)

    async def say(self, reply: bytes | None) -> bytes:
        """Answer the next question."""
        request, say = await self.next()
        say(reply)
        return request


@asynccontextmanager
async def asking(**options: Any) -> AsyncIterator[tuple[Upstream, Ask]]:
    upstream = Upstream()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    upstream.port = server.sockets[0].getsockname()[1]
    async with OverHttp(f"http://127.0.0.1:{upstream.port}", **options).opened() as ask:
        yield upstream, ask
    await upstream.close()
    server.close()


def on_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(asyncio.wait_for(test(), 30))

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


async def settle() -> None:
    """Let whatever can go on without an answer go on."""
    for _ in range(20):
        await asyncio.sleep(0)


async def refusal(task: "asyncio.Task[Caller] | Coroutine[Any, Any, Caller]") -> Refusal:
    with pytest.raises(Refusal) as caught:
        await asyncio.wait_for(task, 10)
    return caught.value


def begin(ask: Ask, question: Question = QUESTION) -> "asyncio.Task[Caller]":
    return asyncio.ensure_future(ask(question))


@on_loop
async def test_it_asks_with_the_header_and_what_the_request_is() -> None:
    async with asking() as (upstream, ask):
        task = begin(ask, replace(QUESTION, organization_id="au\r\n/ä&x"))
        request, _ = await upstream.next()
        assert request.split(b"\r\n") == [
            b"GET /api/auth/verify/?organization_id=au%0D%0A%2F%C3%A4%26x HTTP/1.1",
            f"Host: 127.0.0.1:{upstream.port}".encode(),
            f"Authorization: Token {TOKEN}".encode(),
            b"X-Forwarded-For: 192.0.2.7",
            b"X-Forwarded-Method: POST",
            b"X-Forwarded-Uri: /a%2Fb?x=1",
            b"Origin: https://example.com",
            b"",
            b"",
        ]
        task.cancel()


@on_loop
async def test_who_it_is_comes_from_the_answer() -> None:
    async with asking() as (upstream, ask):
        for _ in range(2):
            task = begin(ask)
            await upstream.say(ACCEPTED)
            caller = await task
            assert (caller.organization_id, caller.email) == ("auhf2k", "mø@example.com")
            assert caller.expiry is not None
            assert caller.expiry.isoformat() == "2026-12-24T10:00:00+00:00"
        assert upstream.connections == 1


@on_loop
async def test_a_question_on_its_way_is_not_joined_by_a_later_request() -> None:
    """The logout was answered between the two: the first may be accepted, the second may not."""
    async with asking() as (upstream, ask):
        first = begin(ask)
        _, say_first = await upstream.next()
        later = [begin(ask) for _ in range(5)]
        await settle()
        assert upstream.asked.empty()  # at most one is on its way
        say_first(ACCEPTED)
        assert (await first).email == "mø@example.com"
        await upstream.say(ENDED)  # one question for all five, sent after the last of them came
        assert [(await refusal(task)).status for task in later] == [401] * 5
        assert upstream.asked.empty()


@on_loop
async def test_only_the_same_question_is_joined() -> None:
    others = [
        replace(QUESTION, authorization=b"Token x"),
        replace(QUESTION, organization_id="auhf2k"),
        replace(QUESTION, method="GET"),
        replace(QUESTION, target="/"),
        replace(QUESTION, origin=None),
        replace(QUESTION, client_address="192.0.2.8"),
    ]
    async with asking() as (upstream, ask):
        tasks = [begin(ask, question) for question in (QUESTION, *others)]
        held = [await upstream.next() for _ in tasks]
        assert len({request for request, _ in held}) == len(tasks)
        for task in tasks:
            task.cancel()


@on_loop
async def test_a_request_that_is_given_up_does_not_end_the_question_of_the_others() -> None:
    async with asking(connections_max=1) as (upstream, ask):
        blocking = begin(ask, replace(QUESTION, target="/other"))
        _, say = await upstream.next()
        given_up, kept = begin(ask), begin(ask)
        await settle()
        given_up.cancel()
        say(ACCEPTED)
        await blocking
        await upstream.say(ACCEPTED)
        assert (await kept).organization_id == "auhf2k"
        assert given_up.cancelled()


@on_loop
async def test_the_answer_to_a_question_given_up_is_not_taken_for_the_next_ones() -> None:
    async with asking(seconds_max=0.2, connections_max=1) as (upstream, ask):
        late = begin(ask)
        _, say_late = await upstream.next()
        assert (await refusal(late)).status == 503
        task = begin(ask, replace(QUESTION, authorization=b"Token other"))
        _, say = await upstream.next()
        say_late(ACCEPTED)
        await settle()
        say(ENDED)
        assert (await refusal(task)).status == 401


@on_loop
async def test_what_nobody_asked_for_is_no_answer() -> None:
    async with asking() as (upstream, ask):
        task = begin(ask)
        _, say = await upstream.next()
        say(ENDED)
        assert (await refusal(task)).status == 401
        say(ACCEPTED)  # a second answer to the first question
        await asyncio.sleep(0.05)
        task = begin(ask)
        await upstream.say(ENDED)
        assert (await refusal(task)).status == 401
        task = begin(ask)
        await upstream.say(ENDED + ACCEPTED)
        assert (await refusal(task)).status == 503


@on_loop
async def test_no_answer_in_time_is_503_for_everybody_who_waits() -> None:
    async with asking(seconds_max=0.3, connections_max=2) as (_, ask):
        begun = asyncio.get_running_loop().time()
        tasks = [begin(ask, replace(QUESTION, target=f"/{number % 5}")) for number in range(20)]
        for task in tasks:
            refused = await refusal(task)
            assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
        assert asyncio.get_running_loop().time() - begun < 1


@on_loop
async def test_an_answer_that_comes_byte_by_byte_does_not_prolong_the_time() -> None:
    async with asking(seconds_max=0.3) as (upstream, ask):
        task = begin(ask)
        _, say = await upstream.next()

        async def drip() -> None:
            for byte in ACCEPTED:
                say(bytes([byte]))
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        assert (await refusal(task)).status == 503
        dripping.cancel()


@on_loop
async def test_connections_and_waiting_questions_are_bounded() -> None:
    async with asking(connections_max=3) as (upstream, ask):
        tasks = [begin(ask, replace(QUESTION, target=f"/{n}")) for n in range(QUESTIONS_MAX)]
        for _ in range(3):
            await upstream.next()
        await settle()
        assert upstream.connections == 3
        assert upstream.asked.empty()
        assert (await refusal(begin(ask, replace(QUESTION, target="/more")))).status == 503
        for task in tasks:
            task.cancel()


@on_loop
async def test_a_connection_that_the_server_closed_is_replaced_and_the_question_asked_again() -> None:
    async with asking() as (upstream, ask):
        task = begin(ask)
        _, say = await upstream.next()
        say(ACCEPTED)
        await task
        task = begin(ask)
        await upstream.say(None)  # as at the end of a keep-alive: closed, with no byte of an answer
        await upstream.say(ACCEPTED)
        assert (await task).organization_id == "auhf2k"
        assert upstream.connections == 2


@on_loop
async def test_a_new_connection_that_is_closed_is_503() -> None:
    async with asking() as (upstream, ask):
        for reply in (None, ACCEPTED[:40]):
            task = begin(ask)
            _, say = await upstream.next()
            if reply:
                say(reply)
            say(None)
            assert (await refusal(task)).status == 503


@on_loop
async def test_401_403_and_503_are_handed_on_in_their_own_words() -> None:
    async with asking() as (upstream, ask):
        for status, headers, body, sentence, retry in (
            (401, "", '{"detail": "Invalid token header."}', "Invalid token header.", 1),
            (403, "", '{"detail": "Not for this."}', "Not for this.", 1),
            (503, "Retry-After: 7\r\n", '{"detail": "Busy."}', "Busy.", 7),
            (401, "", "<html>", "Invalid token.", 1),
            (401, "", '{"detail": ["x"]}', "Invalid token.", 1),
            (503, "Retry-After: Fri, 31 Dec 2027 23:59:59 GMT\r\n", "", None, 1),
        ):
            task = begin(ask)
            await upstream.say(answer(status, headers, body))
            refused = await refusal(task)
            assert (refused.status, refused.retry_after) == (status, retry)
            assert sentence in (None, refused.sentence)


UNREADABLE = {
    "redirect": answer(302, "Location: /elsewhere\r\n"),
    "not found": answer(404, ""),
    "error": answer(500, ""),
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "a page": answer(200, "", "<html>hello</html>"),
    "one header missing": answer(200, IDENTITY.replace("X-Auth-Role: owner\r\n", "")),
    "an empty header": answer(200, IDENTITY.replace("owner", "")),
    "twice the user": answer(200, IDENTITY + "X-Auth-User: root@example.com\r\n"),
    "no time": answer(200, IDENTITY.replace("2026-12-24T", "")),
    "no length": ACCEPTED.replace(b"Content-Length: 0\r\n", b""),
    "two lengths": ACCEPTED.replace(b"Content-Length: 0\r\n", b"Content-Length: 0\r\nContent-Length: 5\r\n"),
    "chunked": ACCEPTED.replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "HTTP/1.0": ACCEPTED.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "bare line feeds": ACCEPTED.replace(b"\r\n", b"\n") + b"\r\n\r\n",
    "a folded header": ACCEPTED.replace(b"X-Auth-Role: owner", b"X-Auth-Role:\r\n owner"),
    "an endless head": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000,
    "a body too long": answer(200, IDENTITY, "x" * 70_000),
}


@pytest.mark.parametrize("reply", UNREADABLE.values(), ids=UNREADABLE)
def test_whatever_is_not_clearly_an_answer_of_nightlatch_is_503(reply: bytes) -> None:
    async def test() -> None:
        async with asking(seconds_max=5) as (upstream, ask):
            task = begin(ask)
            await upstream.say(reply)
            assert (await refusal(task)).status == 503

    on_loop(test)()


@on_loop
async def test_an_answer_for_another_organization_than_asked_is_503() -> None:
    async with asking() as (upstream, ask):
        task = begin(ask, replace(QUESTION, organization_id="other9"))
        await upstream.say(ACCEPTED)
        assert (await refusal(task)).status == 503


@on_loop
async def test_a_header_that_cannot_be_sent_is_refused_without_asking() -> None:
    async with asking() as (upstream, ask):
        for question in (
            replace(QUESTION, authorization=b"Token x\r\nX-Organization-Id: y"),
            replace(QUESTION, authorization=b"Token \0"),
            replace(QUESTION, authorization=b"Token " + b"x" * 9000),
            replace(QUESTION, target="/\r\nX: y"),
            replace(QUESTION, origin="x\ny"),
            replace(QUESTION, authorization=b" "),
        ):
            assert (await refusal(ask(question))).status == 401  # type: ignore[arg-type]
        assert upstream.connections == 0


@on_loop
async def test_a_server_that_is_not_there_is_503() -> None:
    async with asking() as (upstream, ask):
        port = upstream.port
    async with OverHttp(f"http://127.0.0.1:{port}").opened() as ask:
        assert (await refusal(begin(ask))).status == 503


@pytest.mark.parametrize(
    "url",
    [
        "http://auth.example.com",
        "http://192.0.2.1:8000",
        "http://127.0.0.1.example.com",
        "ftp://auth.example.com",
        "auth.example.com",
        "https://",
        "https://user:secret@auth.example.com",
        "https://auth.example.com/?x=y",
        "https://auth.example.com:99999",
        "https://auth.example.com/\r\nx",
        "https://exämple.com",
    ],
)
def test_a_url_that_would_leak_tokens_or_cannot_work_is_refused_with_the_way_out(url: str) -> None:
    with pytest.raises(CannotStart, match="URL of Nightlatch") as caught:
        OverHttp(url)
    assert "secret" not in caught.value.public


def test_plain_http_is_for_this_machine_or_by_decision() -> None:
    for url in (
        "http://127.0.0.1:8000",
        "http://[::1]:8000",
        "http://localhost",
        "https://auth.example.com/x/",
    ):
        OverHttp(url)
    OverHttp("http://nightlatch:8000", plain_http_allowed=True)


def test_no_repr_holds_a_token_or_a_password() -> None:
    from nightlatch.middleware.in_process import InProcess

    assert TOKEN not in repr(QUESTION)
    assert "secret" not in repr(InProcess("postgresql://api:secret@db/nightlatch"))
