"""Mail through SMTP: handed to one server, over TLS, in threads, a bounded number at once.

A mail is handed over once, at once, or not at all: nothing is kept to be tried again, since whoever caused it
is told and has another way. Nothing goes over a network in plain text, neither a link nor a password.
"""

import asyncio
import contextlib
import smtplib
import socket
import ssl
from collections.abc import Callable
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import localtime, make_msgid
from typing import Final

from nightlatch.clock import Clock, SystemClock
from nightlatch.model.errors import MailNotSent
from nightlatch.model.mail import Mail, MailServer, Sender, parse_mail_server, parse_sender, split_address
from nightlatch.model.names import OrganizationId
from nightlatch.model.plain_text import printable
from nightlatch.model.rate import Rate
from nightlatch.settings import Settings

SECONDS_MAX: Final = 8.0
"""For all of it: the wait for its turn, connecting, and each word with the server.

Less than a worker that is told to stop has for its last requests: the page with the link still goes out.
"""
AT_ONCE_MAX: Final = 4
WAITING_MAX: Final = 16
MAILS_PER_ORGANIZATION: Final = Rate(50, 3600)
"""In one process: or an owner could fill a stranger's mailbox with invitations, in the operator's name."""
_QUIT_SECONDS: Final = 1.0
_STATUS_CHARACTERS_MAX: Final = 9
_LOOK: Final = "Run: nightlatch doctor"
_BY_HAND: Final = "Give the link by hand."


class Mailer:
    """Hands mail to one server."""

    def __init__(
        self, server: MailServer, sender: Sender, clock: Clock, seconds: float = SECONDS_MAX
    ) -> None:
        self._server = server
        self._sender = sender
        self._clock = clock
        self._seconds = seconds
        self._free_at: dict[OrganizationId, float] = {}
        self._turns = asyncio.Semaphore(AT_ONCE_MAX)
        self._jobs: set[asyncio.Task[None]] = set()

    async def send(self, mail: Mail) -> None:
        """Return when the server has taken the mail. Raises MailNotSent, and nothing else."""
        parts = split_address(mail.recipient)
        if parts is None:
            raise MailNotSent("the recipient's address is none that mail can be sent to", _BY_HAND)
        self._count(mail.organization_id)
        await self._run(lambda client: client.hand_over(mail, Address("", *parts), self._sender))

    async def check(self) -> None:
        """Do all that comes before a mail: connect, encrypt, log in, name the sender. Raises MailNotSent."""
        await self._run(lambda client: client.name_sender(self._sender))

    def _count(self, organization_id: OrganizationId) -> None:
        """One more mail of that organization, if it is let through."""
        now, rate = self._clock.elapsed_seconds(), MAILS_PER_ORGANIZATION
        self._free_at = {each: moment for each, moment in self._free_at.items() if moment > now}
        free_at = self._free_at.get(organization_id, now)
        if rate.wait_seconds(free_at - now) > 0:
            raise MailNotSent(f"too many mails in the organization's name: {rate}", _BY_HAND)
        self._free_at[organization_id] = free_at + rate.interval

    async def _run(self, work: "Callable[[_Client], None]") -> None:
        if len(self._jobs) >= AT_ONCE_MAX + WAITING_MAX:
            raise MailNotSent("too many mails wait to be sent", "Send fewer at once.")
        client = _Client(self._server, self._seconds)
        # A task of its own: its turn lasts until its thread has ended, whatever becomes of who waits for it.
        job = asyncio.create_task(self._in_turn(client, work))
        self._jobs.add(job)
        job.add_done_callback(self._ended)
        done, _ = await asyncio.wait({job}, timeout=self._seconds)
        if not done:
            client.give_up()
            raise _silence(client.step)
        job.result()

    async def _in_turn(self, client: "_Client", work: "Callable[[_Client], None]") -> None:
        async with self._turns:
            await asyncio.to_thread(client.run, work)

    def _ended(self, job: "asyncio.Task[None]") -> None:
        self._jobs.discard(job)
        if not job.cancelled():
            job.exception()  # seen: nobody may be waiting any more


def build_mailer(settings: Settings) -> Mailer | None:
    """As the settings have it; None where mail is not set up."""
    if settings.smtp_url is None or settings.mail_from is None:
        return None
    server = parse_mail_server(settings.smtp_url.get_secret_value())
    return Mailer(server, parse_sender(settings.mail_from), SystemClock())


class _Client(smtplib.SMTP):
    """One conversation with the server, which another thread can end."""

    def __init__(self, server: MailServer, seconds: float) -> None:
        name = socket.gethostname()
        # smtplib itself would ask the DNS, for as long as that takes.
        own_name = name if "." in name and name.isascii() else "[127.0.0.1]"
        super().__init__(timeout=seconds, local_hostname=own_name)
        self.step = "waiting for its turn"
        self._server = server
        self._host = server.host  # what starttls() compares the certificate with
        self._given_up = False

    def run(self, work: "Callable[[_Client], None]") -> None:
        """Open, work, and close. Raises MailNotSent."""
        try:
            self._open()
            work(self)
            self._part()
        except MailNotSent:
            raise
        except Exception as error:
            raise _not_sent(error, self.step, self._server) from None
        finally:
            self.close()

    def give_up(self) -> None:
        """From another thread: whatever it waits for ends."""
        self._given_up = True
        if self.sock is not None:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)

    def name_sender(self, sender: Sender) -> None:
        """Ask whether mail may be from them; none is sent."""
        self.step = "naming the sender"
        code, text = self.mail(sender.address)
        if code != 250:
            raise smtplib.SMTPSenderRefused(code, text, sender.address)

    def hand_over(self, mail: Mail, recipient: Address, sender: Sender) -> None:
        """Have the server take the mail for its recipient, and for nobody else."""
        self.step = "handing over the mail"
        self.send_message(_message(mail, recipient, sender), sender.address, [mail.recipient])

    def _open(self) -> None:
        self.step = "connecting"
        if self._given_up:
            raise TimeoutError
        code, text = self.connect(self._server.host, self._server.port)
        if self._given_up:
            raise TimeoutError
        if code != 220:
            raise smtplib.SMTPConnectError(code, text)
        if not self._server.is_tls:
            self._encrypt()
        if self._server.user:
            self.step = "logging in"
            self.login(self._server.user, self._server.password)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain = socket.create_connection((host, port), timeout)
        # From here on it is give_up() that ends a wait; smtplib would call a timeout a lost connection.
        plain.settimeout(2 * timeout)
        self.sock = plain
        if not self._server.is_tls:
            return plain
        self.step = "encrypting"
        context = ssl.create_default_context()
        tls = context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
        self.sock = tls
        tls.do_handshake()
        return tls

    def _encrypt(self) -> None:
        self.step = "encrypting"
        self.ehlo_or_helo_if_needed()
        context = ssl.create_default_context()
        if self._server.is_local:
            if not self.has_extn("starttls"):
                return
            # It would be as well in plain text: a certificate that nobody vouches for, as mail servers have
            # them for their own machine, makes it no worse.
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self.starttls(context=context)

    def _part(self) -> None:
        """Say good-bye. What the server answers changes nothing: it has taken the mail."""
        with contextlib.suppress(OSError, smtplib.SMTPException):
            if self.sock is not None:
                self.sock.settimeout(min(_QUIT_SECONDS, self.timeout))
            self.quit()


def _message(mail: Mail, recipient: Address, sender: Sender) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(_harmless(sender.name), addr_spec=sender.address)
    message["To"] = recipient
    message["Subject"] = _harmless(mail.subject)
    message["Date"] = localtime()
    # Its own domain, or make_msgid() would ask the DNS.
    message["Message-ID"] = make_msgid(domain=sender.address.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: answers nobody's out-of-office mail
    # Lines as they are wherever that can be, so that the link is one of them in the raw mail, too.
    message.set_content(mail.text, cte="7bit" if mail.text.isascii() else "quoted-printable")
    return message


def _harmless(text: str) -> str:
    """One line that is taken as it is.

    What looks like an encoded word (RFC 2047) the standard library decodes, and with it line breaks, which
    then begin headers of their own.
    """
    return printable(text).replace("=?", "= ?")


def _silence(step: str) -> MailNotSent:
    return MailNotSent(
        f"{step}: no answer in time",
        "Correct host and port in smtp_url, and let connections out to them. smtps:// is for a port with TLS "
        "from the start (465), smtp:// for one with STARTTLS (587).",
    )


def _not_sent(error: Exception, step: str, server: MailServer) -> MailNotSent:
    """What went wrong, in words of ours and the server's numbers only."""
    match error:
        case TimeoutError():
            return _silence(step)
        case ssl.SSLCertVerificationError():
            return MailNotSent(
                f"{step}: the certificate is not accepted: {error.verify_message}",
                "Name the host in smtp_url as its certificate does. If an authority of your own has issued "
                "that, let the variable SSL_CERT_FILE name a file with the authority.",
            )
        case ssl.SSLError():
            return MailNotSent(
                f"{step}: no TLS: {error.reason}",
                "smtps:// is for a port with TLS from the start (465), smtp:// for one with STARTTLS (587).",
            )
        case smtplib.SMTPNotSupportedError() if step == "encrypting":
            return MailNotSent(
                "encrypting: the server does not offer STARTTLS, and nothing is sent without",
                "Use a server that offers it, or smtps:// with its port for TLS.",
            )
        case smtplib.SMTPNotSupportedError() if step == "logging in":
            return MailNotSent(
                "logging in: the server offers no way that is known",
                "Use its port for submission (587 or 465), or leave user and password out of smtp_url.",
            )
        case smtplib.SMTPNotSupportedError():
            return MailNotSent(
                f"{step}: the server takes no addresses beyond ASCII",
                f"Use a server with SMTPUTF8. {_BY_HAND}",
            )
        case smtplib.SMTPServerDisconnected():
            return MailNotSent(f"{step}: the server closed the connection", _LOOK)
        case smtplib.SMTPRecipientsRefused():
            answers = ", ".join(_numbers(*answer) for answer in error.recipients.values())
            return MailNotSent(f"{step}: the recipient is refused: {answers}", "Look into that server's log.")
        case smtplib.SMTPSenderRefused():
            return MailNotSent(
                f"{step}: the sender is refused: {_numbers(error.smtp_code, error.smtp_error)}",
                "mail_from must be an address that this user, or without one this machine, may send from.",
            )
        case smtplib.SMTPAuthenticationError():
            return MailNotSent(
                f"{step}: refused: {_numbers(error.smtp_code, error.smtp_error)}",
                "Correct user and password in smtp_url; some providers want one made for this purpose.",
            )
        case smtplib.SMTPResponseException():
            return MailNotSent(
                f"{step}: the server says {_numbers(error.smtp_code, error.smtp_error)}",
                "Look into that server's log.",
            )
        case socket.gaierror():
            return MailNotSent(f"{step}: {server.host} is not known", "Correct the host in smtp_url.")
        case OSError() if not isinstance(error, smtplib.SMTPException) and error.strerror:
            advice = "Correct host and port in smtp_url, and let connections out to them."
            return MailNotSent(f"{step}: {error.strerror}", advice)
    return MailNotSent(f"{step}: {type(error).__name__}", _LOOK)


def _numbers(code: int, text: bytes | str) -> str:
    """The code, and the status that may come after it (RFC 3463): never the words."""
    words = text if isinstance(text, str) else text.decode("ascii", "replace")
    first, _, _ = words.partition(" ")
    numbers = first.split(".")
    known = len(numbers) == 3 and all(part.isascii() and part.isdecimal() for part in numbers)
    return f"{code} {first}" if known and len(first) <= _STATUS_CHARACTERS_MAX else str(code)
