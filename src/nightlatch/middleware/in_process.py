"""The verifier in the API's own process, on the database of the Nightlatch servers (docs/verifier.md)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from nightlatch.middleware.caller import Caller
from nightlatch.middleware.question import Ask, Question
from nightlatch.middleware.refusal import refusal_of
from nightlatch.verifier import NightlatchError, open_verifier


@dataclass(frozen=True, slots=True)
class InProcess:
    """Tokens are verified from the memory of this process: a known one takes some microseconds.

    `database_url` and `known_tokens_max` are as in the settings.
    """

    database_url: str = field(repr=False)
    known_tokens_max: int | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Ask]:
        """The verifier. Raises CannotStart and Unavailable."""
        async with open_verifier(self.database_url, known_tokens_max=self.known_tokens_max) as verifier:

            async def ask(question: Question) -> Caller:
                try:
                    identity = await verifier.verify(
                        question.authorization,
                        question.client_address,
                        question.organization_id,
                        method=question.method,
                        target=question.target,
                        origin=question.origin,
                    )
                except NightlatchError as error:
                    raise refusal_of(error) from None
                return Caller(
                    identity.organization_id,
                    identity.email,
                    identity.role.value,
                    identity.token_id,
                    identity.expiry,
                )

            yield ask
