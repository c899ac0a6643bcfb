"""Check of mail: whether its server would take any."""

from nightlatch.doctor.finding import Finding, ok, problem
from nightlatch.mail import build_mailer
from nightlatch.model.errors import MailNotSent
from nightlatch.settings import Settings


async def check_mail(settings: Settings) -> list[Finding]:
    """The server can be reached, is the one that it should be, and lets us in; no mail is sent."""
    mailer = build_mailer(settings)
    if mailer is None:
        return []
    try:
        await mailer.check()
    except MailNotSent as error:
        return [problem("mail", error.detail, error.advice)]
    return [ok("mail", "the server takes mail from mail_from; none was sent")]
