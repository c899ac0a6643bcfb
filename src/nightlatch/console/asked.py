"""A request of somebody who is signed in, and the answers that pages give."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import quote, urlencode

import structlog
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from nightlatch.console.cookies import keep_session
from nightlatch.console.language import Language
from nightlatch.console.render import Visit, render_page, visit_of
from nightlatch.console.views.messages import error_text
from nightlatch.console.views.password_again import PasswordAgain, password_again
from nightlatch.edge.body import read_form
from nightlatch.model.errors import CredentialsRejected, Forbidden, NightlatchError, Throttled, Unavailable
from nightlatch.model.mail import Mail
from nightlatch.model.names import Role
from nightlatch.model.origin import Origin
from nightlatch.model.secret import Secret
from nightlatch.model.session import Session
from nightlatch.usecases.find_session import note_session_used
from nightlatch.usecases.services import Services
from nightlatch.usecases.sign_in import confirm_password

_log = structlog.get_logger("nightlatch")

PASSWORD_FIELD: Final = "current_password"

SendMail = Callable[[Mail], Awaitable[None]]
"""Returns when a mail server has taken the mail; raises MailNotSent, and nothing else."""


@dataclass(slots=True)
class Asked:
    """One request in a live session.

    `base_url` is where people reach this server, without a slash at its end.
    """

    services: Services
    request: Request
    session: Session
    origin: Origin
    language: Language
    base_url: str
    send_mail: SendMail | None
    """None where the server sends no mail."""
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    """What a form holds, repeated fields in order; empty for a GET."""
    secret: Secret | None = None
    """The session's new secret, where it has got one: for the answer's cookie."""

    @property
    def visit(self) -> Visit:
        """For whom the page is made."""
        return visit_of(self.session, self.language, here_of(self.request))

    @property
    def is_owner(self) -> bool:
        """Whether the organization is theirs to look after."""
        return self.session.identity.role is Role.OWNER

    def check_owner(self) -> None:
        """Raise Forbidden for a member."""
        if not self.is_owner:
            raise Forbidden

    def field(self, name: str) -> str:
        """What the form's field holds, the last of several; empty where it is not."""
        return self.fields.get(name, ("",))[-1]

    def query(self, name: str) -> str:
        """What the query holds of that name, the last of several; empty where there is none."""
        values = self.request.query_params.getlist(name)
        return values[-1].strip() if values else ""

    @property
    def again(self) -> PasswordAgain:
        """Whether a form has to ask for the password again."""
        return password_again(self.session)

    async def confirm(self) -> PasswordAgain:
        """Check the password in the form, where it has to be asked for; tells what is wrong with it.

        The session gets another secret with it. Raises SessionEnded, Overloaded, StoreUnavailable.
        """
        again = password_again(self.session)
        if not again.is_needed:
            return again
        password = self.field(PASSWORD_FIELD)
        if not password:
            return password_again(self.session, self.language.gettext("Enter your password."))
        try:
            self.secret = await confirm_password(self.services, self.session, password, self.origin)
        except CredentialsRejected:
            return password_again(self.session, self.language.gettext("That is not your password."))
        except Throttled as error:
            return password_again(self.session, error_text(self.language, error))
        self.session = replace(self.session, digest=self.secret.digest, confirmed=self.session.now)
        return password_again(self.session)

    def page(self, template: str, view: object, status: int = 200) -> Response:
        """The page that shows the view."""
        return self.sent(HTMLResponse(render_page(template, self.visit, view=view), status))

    def says(self, error: NightlatchError) -> str:
        """The error's sentence in the reader's language."""
        return error_text(self.language, error)

    def see(self, path: str, **query: str) -> Response:
        """After a change: look at that page, so that loading it again repeats nothing (RFC 9110, 15.4.4)."""
        return self.sent(RedirectResponse(f"{path}?{urlencode(query)}" if query else path, 303))

    def sent(self, response: Response) -> Response:
        """The answer, with the session's new secret if it has got one; afterwards its use is noted."""
        if self.secret is not None:
            keep_session(response, self.secret)
        if response.background is None:
            response.background = BackgroundTask(_note_used, self.services, self.session)
        return response


async def _note_used(services: Services, session: Session) -> None:
    try:
        await note_session_used(services, session)
    except Unavailable as error:
        # The answer has been sent; the next use is noted.
        _log.warning("unavailable", code=error.code, reason=error.detail)


async def read_fields(request: Request) -> dict[str, tuple[str, ...]]:
    """A form's fields. Raises the Answer 408, 413 or 415."""
    fields: dict[str, tuple[str, ...]] = {}
    for name, value in await read_form(request):
        fields[name] = (*fields.get(name, ()), value)
    return fields


def here_of(request: Request) -> str:
    """The path and query of a page that can be had again; empty for the answer to a form."""
    if request.method != "GET":
        return ""
    # Not from request.url, which refuses a query that is not UTF-8.
    path, query = (
        quote(request.scope["path"], errors="replace"),
        request.scope["query_string"].decode("latin-1"),
    )
    return f"{path}?{query}" if query else path
