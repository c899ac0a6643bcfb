"""Has a token at hand: takes it from the cache, logs in when there is none, renews it, replaces it.

All of it is flows (steps.py): generators that do no I/O. These are the rules.

* A token that is at hand and not about to end is used without asking anybody, the cache included.
* Who needs another one looks into the cache first. If there is one that was not just refused, that is it.
* Only who holds the lock of the cache logs in, and looks into the cache once more before. Waiting is trying
  again, in short pauses: an event loop is not held up, and who waits goes on as soon as a token is there.
* A login that failed is the answer to all who were waiting for it: 200 waiting threads with a wrong password
  must not make 200 attempts. It is so for who comes later too: for as long as the service asked to wait, and
  for ten seconds with the same wrong password.
* The new token is in the cache before the old one is ended. Others that still use the old one are answered
  with 401, look into the cache, and go on.
* A new token that is refused at once says that the API refuses for another reason. Then its 401 is
  the answer, and for a minute nobody logs in because of it, or each request would make a token. So it is when
  one token after another was refused within a minute.
* No token is left behind: who replaces one ends it, also one that was refused; what cannot be kept is ended.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from random import SystemRandom
from typing import Any, Final

from nightlatch_client.cache import Cache, Lock
from nightlatch_client.clock import Clock
from nightlatch_client.errors import (
    BodyNotRepeatable,
    LimitReached,
    ListedToken,
    LoginBusy,
    LoginError,
    LoginRefused,
    Overloaded,
    Throttled,
    UnexpectedAnswer,
)
from nightlatch_client.kept import Entry, Failure, KeptToken
from nightlatch_client.secret import Secret
from nightlatch_client.service import Service, error_in, token_in, tokens_in
from nightlatch_client.steps import Answer, Ask, Call, Flow, Pause, Use

LOG: Final = logging.getLogger("nightlatch_client")
LOOK_SECONDS: Final = 1.0
"""How often the cache is looked into while the token is due for renewal."""
REFUSED_SECONDS: Final = 60.0
"""How long nobody logs in because of a 401 after a new token was answered with one."""
SHORT_LIVED_MAX: Final = 3
"""How many tokens in a row may be replaced as they were refused within that time of their login: an API that
refuses now and then, or a body that cannot be sent again to try the new one, must not log in each time."""
RENEWAL_PAUSE_SECONDS: Final = 60.0
"""How long after a renewal that failed the next is tried."""
LOGIN_REFUSED_SECONDS: Final = 10.0
"""How long a password that was refused is not tried again; short, as the user may be made meanwhile."""
HELD_BACK_MAX: Final = 3600.0
"""How long a Retry-After is heeded at most."""
_USES_MAX: Final = 4
"""Tokens that one request is sent with: at hand, two from the cache, and a new one."""
_LOCK_PAUSE_MIN: Final = 0.005
_LOCK_PAUSE_MAX: Final = 0.05
_LOGIN_PAUSE_MIN: Final = 0.2
_LOGIN_PAUSE_MAX: Final = 5.0
_BUSY_MARGIN: Final = 60.0

_random: Final = SystemRandom()
_ERRORS: Final = {error.code: error for error in (LoginRefused, Throttled, Overloaded)}


class Keeper:
    """The token of one user in one organization.

    `patience`: seconds that a login may wait to be let in. `in_background`: takes the steps of a flow that
    nobody waits for.
    """

    def __init__(
        self,
        service: Service,
        cache: Cache,
        clock: Clock,
        patience: float,
        in_background: Callable[[Flow[Any]], None],
    ) -> None:
        self.service = service
        self._in_background = in_background
        self._cache = cache
        self._clock = clock
        self._patience = patience
        self._key = service.key
        self._at_hand: KeptToken | None = None
        # When the token at hand is not to be used any more without a look around; -1: at once.
        self._look_at = -1.0
        self._renewal_at = -1.0
        self._login_refused: tuple[int, float, str] | None = None

    def at_hand_nowait(self) -> KeptToken | None:
        """The token to use without another thought, or None: then `send` finds one."""
        return self._at_hand if self._clock.wall() < self._look_at else None

    def renewal_is_due(self) -> bool:
        """Whether a new token shall be fetched in the background."""
        now, held = self._clock.wall(), self._at_hand
        return held is not None and held.renew_at <= now and self._renewal_at <= now

    def send(self, repeatable: bool, refused: KeptToken | None = None) -> Flow[None]:
        """Have the caller's request sent with a good token; `refused`: it was just sent with that one.

        Raises LoginError, CacheError, or BodyNotRepeatable.
        """
        held = refused
        logged_in = False
        for _ in range(_USES_MAX):
            held, logged_in = yield from self._token(refused, fresh=not repeatable)
            if held is None:
                return
            if refused is not None and not repeatable:
                raise BodyNotRepeatable(
                    "The token was refused, and the request's body can be sent only once. "
                    "A new token is there: make the request again."
                )
            status = yield Use(held.token)
            if status != 401:
                return
            if logged_in:
                yield from self._doubt(held)
                return
            refused = held

    def have(self) -> Flow[KeptToken]:
        """A token, without sending a request."""
        held, _ = yield from self._token(None, fresh=True)
        assert held is not None  # None is for who was refused only
        return held

    def renew(self) -> Flow[bool]:
        """Fetch a new token ahead of the old one's end, and end that; whether it was done.

        Tries once: whoever comes later tries again. Raises LoginError and CacheError.
        """
        now = self._clock.wall()
        self._renewal_at = now + RENEWAL_PAUSE_SECONDS
        lock = yield self._call(self._cache.lock_nowait, self._key)
        if lock is None:
            return False
        try:
            entry: Entry = yield self._call(self._cache.load, self._key)
            old = entry.token
            if entry.failure is not None and 0 <= now - entry.failure.at < RENEWAL_PAUSE_SECONDS:
                return False  # another process has just tried
            if old is None or old.renew_at > now:
                return False
            self._held_back(entry.failure, 0.0)
            # Noted before it is tried, as nothing can be noted when the connection itself fails.
            tried = Failure(now, LoginError.code, "The token could not be renewed.", None, ahead=True)
            yield self._call(self._cache.store, self._key, Entry(old, tried))
            new = yield from self._log_in(patience=0.0)
            yield from self._keep_new(new)
        finally:
            lock.release()
        yield self.service.logout(old.token)
        return True

    def make_up(self, refused: KeptToken | None) -> Flow[None]:
        """Log in for a request that was cancelled while it did.

        Its login may have made a token that nobody knows. The next request would make another, and be
        cancelled too if logins are slow.
        """
        lock: Lock | None = yield self._call(self._cache.lock_nowait, self._key)
        if lock is not None:
            yield from self._obtain_with(lock, refused, patience=0.0)

    def log_in(self) -> Flow[KeptToken]:
        """Log in though there may be a token: for who wants to know whether the password is right."""
        lock = yield from self._lock()
        try:
            old = yield from self._look()
            new = yield from self._log_in(self._patience, heed=False)
            yield from self._keep_new(new)
        finally:
            lock.release()
        if old is not None:
            yield self.service.logout(old.token)
        return new

    def log_out(self, everywhere: bool = False) -> Flow[bool]:
        """End the token that is kept, and forget it; False if there was none.

        Raises LoginError if the service did not confirm it: then the token is kept.
        """
        lock = yield from self._lock()
        try:
            held = yield from self._look()
            if held is None:
                return False
            answer: Answer = yield self.service.logout(held.token, everywhere)
            if answer.status not in (204, 200, 401):
                raise error_in(answer, self._clock.wall(), Secret(held.token))
            yield self._call(self._cache.store, self._key, Entry())
            self._forget()
            return True
        finally:
            lock.release()

    def list_tokens(self) -> Flow[tuple[ListedToken, ...]]:
        """The live tokens."""
        answer = yield from self._ask_as_owner(self.service.list_tokens)
        listed = tokens_in(answer)
        if listed is None:
            if answer.status in (200, 404):
                raise UnexpectedAnswer("This service has no list of tokens.")
            raise error_in(answer, self._clock.wall(), Secret(""))
        return listed

    def revoke(self, token_id: str) -> Flow[bool]:
        """End a token by its id; False if there is no live one."""
        answer = yield from self._ask_as_owner(lambda header: self.service.revoke(token_id, header))
        if answer.status not in (200, 204, 404):
            raise error_in(answer, self._clock.wall(), Secret(""))
        return answer.status != 404

    def _ask_as_owner(self, ask: Callable[[str], Ask]) -> Flow[Answer]:
        """Ask with the token that is kept; else with the password, so that nobody needs a free place to make
        room.
        """
        held = yield from self._look()
        if held is not None:
            answer: Answer = yield ask(f"Token {held.token}")
            if answer.status != 401:
                return answer
        password: Secret = yield Call(self.service.fetch_password, slow=callable(self.service.password))
        answer = yield ask(self.service.basic(password))
        return answer

    def _token(self, refused: KeptToken | None, fresh: bool) -> Flow[tuple[KeptToken | None, bool]]:
        """A token other than the refused one, and whether it was made just now; `fresh`: look into the
        cache.
        """
        held = self.at_hand_nowait()
        if held is None or fresh or (refused is not None and held.token == refused.token):
            held = yield from self._look()
        if self._is_usable(held, refused):
            return held, False
        if (
            held is not None
            and refused is not None
            and held.token == refused.token
            and (self._is_doubted(held) or (self._is_young(held) and held.short_lived >= SHORT_LIVED_MAX))
        ):
            return None, False
        return (yield from self._obtain(refused))

    def _obtain(self, refused: KeptToken | None) -> Flow[tuple[KeptToken, bool]]:
        """A token from a login, one's own or that of whoever has the lock."""
        lock = yield from self._lock_or_token(refused)
        if isinstance(lock, KeptToken):
            return lock, False
        return (yield from self._obtain_with(lock, refused, self._patience))

    def _obtain_with(
        self, lock: Lock, refused: KeptToken | None, patience: float
    ) -> Flow[tuple[KeptToken, bool]]:
        """The same with the lock, which is released. The refused token is ended: an API may have been wrong
        about it, and then it takes a place.
        """
        try:
            # Somebody may have logged in between the last look and the lock.
            held = yield from self._look()
            if held is not None and self._is_usable(held, refused):
                return held, False
            new = yield from self._log_in(patience)
            if refused is not None and self._is_young(refused):
                new = replace(new, short_lived=refused.short_lived + 1)
            yield from self._keep_new(new)
        finally:
            # Not a step: a flow that is closed, as by a request that was cancelled, takes no more steps.
            lock.release()
        if refused is not None:
            # Not asked here: the request need not wait for it.
            yield Call(lambda: self._in_background(self.end(refused)))
        return new, True

    def _lock(self) -> Flow[Lock]:
        """The lock, whatever others do meanwhile. Raises LoginBusy."""
        waiting = _Waiting(self._clock, self._patience)
        while True:
            lock: Lock | None = yield self._call(self._cache.lock_nowait, self._key)
            if lock is not None:
                return lock
            yield waiting.pause()

    def _lock_or_token(self, refused: KeptToken | None) -> Flow[Lock | KeptToken]:
        """The lock, or a token other than `refused` that somebody has made meanwhile.

        Raises LoginBusy, or what the login of whoever had the lock failed with.
        """
        waiting = _Waiting(self._clock, self._patience)
        while True:
            lock: Lock | None = yield self._call(self._cache.lock_nowait, self._key)
            if lock is not None:
                return lock
            yield waiting.pause()
            entry: Entry = yield self._call(self._cache.load, self._key)
            failure, token = entry.failure, entry.token
            if failure is not None and failure.at >= waiting.began and not failure.ahead:
                raise _error_of(failure)
            if token is not None and self._is_usable(token, refused):
                self._adopt(token)
                return token

    def _held_back(self, failure: Failure | None, patience: float) -> float:
        """Seconds to wait before a login may be tried after one that failed. Raises the same error again if
        they are more than `patience`.
        """
        if failure is None:
            return 0.0
        age = self._clock.wall() - failure.at
        left = min(failure.retry_after or 0.0, HELD_BACK_MAX) - age
        if age < 0 or left <= 0:
            return 0.0
        if left > patience:
            raise type(_error_of(failure))(_again(failure.message, age, left), left)
        return left

    def _refuse_again(self, password: Secret) -> None:
        """Raise LoginRefused if the same password was just refused. Another one is not held up by it, which
        is why this is not in the cache: nothing about a password is.
        """
        if self._login_refused is None:
            return
        digest, at, message = self._login_refused
        age = self._clock.wall() - at
        if digest == password.digest() and 0 <= age < LOGIN_REFUSED_SECONDS:
            raise LoginRefused(_again(message, age, LOGIN_REFUSED_SECONDS - age))

    def _log_in(self, patience: float, heed: bool = True) -> Flow[KeptToken]:
        """A new token; while the service asks to wait, waits for `patience` seconds at most.

        `heed`: do not ask so soon after a login that failed; what the service asked to wait holds for all.

        The answers 429 and 503 are repeated: after 429 nothing was done, after 503 a token may have been
        made, whose place is taken until it expires. At most a handful of these, as each pause is longer than
        the last.
        """
        entry: Entry = yield self._call(self._cache.load, self._key)
        left = self._held_back(entry.failure, patience) if heed else 0.0
        if left > 0:
            yield Pause(left)
        # Can it be kept? On a full disk each request would make a token for nothing.
        yield self._call(self._cache.store, self._key, entry)
        password: Secret = yield Call(self.service.fetch_password, slow=callable(self.service.password))
        if heed:
            self._refuse_again(password)
        deadline = self._clock.monotonic() + patience - left
        pause = _LOGIN_PAUSE_MIN
        while True:
            answer: Answer = yield self.service.login(password)
            now = self._clock.wall()
            if answer.status in (200, 201):
                return token_in(answer, now)
            error = error_in(answer, now, password)
            wait = error.retry_after if error.retry_after is not None else pause
            # Not all at the same moment, and never before the time that was asked for.
            wait = _random.uniform(wait, wait + pause)
            if not isinstance(error, Throttled | Overloaded) or self._clock.monotonic() + wait > deadline:
                if isinstance(error, LoginRefused):
                    self._login_refused = (password.digest(), now, str(error))
                if isinstance(error, LimitReached):
                    error = yield from self._with_tokens(error, password)
                yield from self._keep_failure(error, ahead=patience <= 0)
                raise error
            yield Pause(wait)
            pause = min(pause * 2, _LOGIN_PAUSE_MAX)

    def _with_tokens(self, error: LimitReached, password: Secret) -> Flow[LimitReached]:
        """The same error with the list of tokens, where the service has one."""
        answer: Answer = yield self.service.list_tokens(self.service.basic(password))
        return LimitReached(str(error), tokens_in(answer))

    def _doubt(self, new: KeptToken) -> Flow[None]:
        """Remember that a new token was refused."""
        lock: Lock | None = yield self._call(self._cache.lock_nowait, self._key)
        if lock is not None:
            try:
                entry: Entry = yield self._call(self._cache.load, self._key)
                if entry.token is not None and entry.token.token == new.token:
                    yield from self._keep(replace(entry.token, refused_at=self._clock.wall()))
            finally:
                lock.release()

    def end(self, token: KeptToken) -> Flow[None]:
        """End a token that was replaced."""
        yield self.service.logout(token.token)

    def _look(self) -> Flow[KeptToken | None]:
        """What the cache holds; it is at hand from now on, if it can be used."""
        entry: Entry = yield self._call(self._cache.load, self._key)
        if entry.token is None:
            self._forget()
        else:
            self._adopt(entry.token)
        return entry.token

    def _keep(self, token: KeptToken) -> Flow[None]:
        yield self._call(self._cache.store, self._key, Entry(token))
        self._adopt(token)

    def _keep_new(self, token: KeptToken) -> Flow[None]:
        """Keep what a login made; where that fails, end it, as nobody would know it."""

        def store() -> None:
            try:
                self._cache.store(self._key, Entry(token))
            except BaseException:
                self._in_background(self.end(token))
                raise

        yield self._call(store)
        self._adopt(token)

    def _keep_failure(self, error: LoginError, ahead: bool) -> Flow[None]:
        entry: Entry = yield self._call(self._cache.load, self._key)
        failure = Failure(self._clock.wall(), error.code, str(error), error.retry_after, ahead)
        yield self._call(self._cache.store, self._key, replace(entry, failure=failure))

    def _adopt(self, token: KeptToken) -> None:
        now = self._clock.wall()
        self._at_hand = token
        self._look_at = min(max(token.renew_at, now + LOOK_SECONDS), token.unusable_at)

    def _forget(self) -> None:
        self._at_hand, self._look_at = None, -1.0

    def _is_usable(self, token: KeptToken | None, refused: KeptToken | None) -> bool:
        if token is None or (refused is not None and token.token == refused.token):
            return False
        return self._clock.wall() < token.unusable_at

    def _is_young(self, token: KeptToken) -> bool:
        return 0 <= self._clock.wall() - token.obtained < REFUSED_SECONDS

    def _is_doubted(self, token: KeptToken) -> bool:
        at = token.refused_at
        return at is not None and 0 <= self._clock.wall() - at < REFUSED_SECONDS

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Call:
        return Call(lambda: function(*arguments), self._cache.slow)


class _Waiting:
    """Waits for a lock in short pauses, but not for ever."""

    def __init__(self, clock: Clock, patience: float) -> None:
        self._clock = clock
        self._end = clock.monotonic() + patience + _BUSY_MARGIN
        self._seconds = _LOCK_PAUSE_MIN
        self.began = clock.wall()

    def pause(self) -> Pause:
        """The next pause. Raises LoginBusy when there were enough."""
        if self._clock.monotonic() > self._end:
            raise LoginBusy("Another process or thread has been logging in for too long; it may hang.")
        seconds = _random.uniform(self._seconds / 2, self._seconds)
        self._seconds = min(self._seconds * 1.5, _LOCK_PAUSE_MAX)
        return Pause(seconds)


def _again(message: str, age: float, left: float) -> str:
    return f"{message} That was {age:.0f} seconds ago; it is asked again in {left:.0f} seconds."


def _error_of(failure: Failure) -> LoginError:
    if failure.code == LimitReached.code:
        return LimitReached(failure.message)
    return _ERRORS.get(failure.code, LoginError)(failure.message, failure.retry_after)
