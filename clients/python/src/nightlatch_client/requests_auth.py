"""Authentication for requests. Needs the extra `requests`."""

import contextlib
from typing import Any

import httpx
import requests
from requests.auth import AuthBase

from nightlatch_client.auth import TokenSource
from nightlatch_client.drive import answer_of, request_of, take
from nightlatch_client.kept import KeptToken
from nightlatch_client.steps import Ask, Flow, Use


class RequestsTokenAuth(TokenSource, AuthBase):
    """For requests: `session.auth = RequestsTokenAuth(url, username, password, organization_id)`.

    As TokenAuth does for httpx, with the same cache. Logins go through a client of its own (`client`), as an
    authentication class of requests is not given the session.
    """

    def __call__(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        """Put a token into the request, and have its answer looked at."""
        self._destinations.admit(httpx.URL(prepared.url or ""))
        sending = _Sending(self, _is_repeatable(prepared))
        sending.give_token(prepared)
        prepared.register_hook("response", sending.answered)  # type: ignore[no-untyped-call]
        return prepared


class _Sending:
    """One request on its way, with its redirects and its repetition."""

    def __init__(self, source: RequestsTokenAuth, repeatable: bool) -> None:
        self._source = source
        self._repeatable = repeatable
        self._flow: Flow[None] | None = None
        self._refused: KeptToken | None = None
        self._position: int | None = None

    def give_token(self, prepared: requests.PreparedRequest) -> None:
        """Set the header, without asking anybody if a token is at hand."""
        keeper = self._source._keeper
        body: Any = prepared.body
        if self._repeatable and hasattr(body, "tell"):
            self._position = body.tell()
        held = keeper.at_hand_nowait() if self._repeatable else None
        if held is not None:
            self._refused = held
            prepared.headers["Authorization"] = "Token " + held.token
        else:
            self._flow = keeper.send(self._repeatable)
            self._advance(prepared, None)

    def answered(self, response: requests.Response, **options: Any) -> requests.Response:
        """The hook of requests: the response, or that of the repetition."""
        if response.is_redirect:
            return response
        if self._flow is not None:
            # After the request: renewing ends the token that it is sent with.
            self._source._renew_in_background()
        while response.status_code == 401 and self._is_ours(response):
            repeated = response.request.copy()
            if self._flow is None:
                self._flow = self._source._keeper.send(self._repeatable, self._refused)
                more = self._advance(repeated, None)
            else:
                more = self._advance(repeated, 401)
            if not more:
                break
            _ = response.content  # read, so that the connection can be used again
            response.close()
            body: Any = repeated.body
            if self._position is not None and body is not None:  # None: a redirect dropped it
                body.seek(self._position)
            # Of the adapter, not the session: no hook is called.
            following = response.connection.send(repeated, **options)
            following.history.append(response)
            following.request = repeated
            response = following
        else:
            if self._flow is not None:
                self._flow.close()
        return response

    def _is_ours(self, response: requests.Response) -> bool:
        # requests takes the header away when a redirect leads to another host.
        return "Authorization" in response.request.headers and self._source._destinations.holds(
            httpx.URL(response.request.url or "")
        )

    def _advance(self, prepared: requests.PreparedRequest, back: Any) -> bool:
        """Take the flow's steps until it has a token for the request; False if it ends."""
        flow, source = self._flow, self._source
        assert flow is not None
        with contextlib.ExitStack() as stack:
            client: httpx.Client | None = None
            try:
                while True:
                    step = flow.send(back)
                    if isinstance(step, Use):
                        prepared.headers["Authorization"] = "Token " + step.token
                        return True
                    if isinstance(step, Ask):
                        client = client or stack.enter_context(source._client())
                        request = request_of(step, redirects=False)
                        back = answer_of(client.send(request, auth=None, follow_redirects=False))
                    else:
                        back = take(step, source._clock)
            except StopIteration:
                return False
            except BaseException:
                flow.close()  # it may hold the lock
                raise


def _is_repeatable(prepared: requests.PreparedRequest) -> bool:
    body: Any = prepared.body
    if body is None or isinstance(body, str | bytes):
        return True
    return hasattr(body, "seekable") and bool(body.seekable())
