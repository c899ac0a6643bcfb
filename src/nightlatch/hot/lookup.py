"""The lookup: an Authorization header's bytes to a verdict, from memory alone.

The whole decision is on this page. It is synchronous: no await, no lock, no log line, no SQL.
"""

from hashlib import sha256
from typing import Final

from nightlatch.hot.currency import Currency
from nightlatch.hot.header import HeaderFault, TokenHeader, read_token_header
from nightlatch.hot.known import Known, KnownChild
from nightlatch.hot.table import Table
from nightlatch.hot.uses import Uses
from nightlatch.model.imported import ImportedToken

_SCHEME: Final = b"Token "


class Lookup:
    """Tells what memory knows, if memory may answer at this moment."""

    __slots__ = ("_database_seconds", "_known", "_note", "_table")

    def __init__(self, table: Table, currency: Currency, uses: Uses) -> None:
        self._table = table
        self._known = table.known
        self._database_seconds = currency.database_seconds_nowait
        self._note = uses.note

    def find_nowait(
        self, authorization: bytes, address: str
    ) -> Known | KnownChild | HeaderFault | TokenHeader:
        """Whose live token the header holds, or why it holds none.

        A TokenHeader means that memory does not know, or may not answer: the database has to be
        asked. `authorization` is empty where there is no header; the use of a live token from
        `address` is noted, a child's is not: its scope is still to be asked.
        """
        # The entry first, then whether memory is current: a pause in between counts against us (H7).
        # What has the digest of a live token is well formed, so that only the rest needs parsing.
        digest = sha256(authorization[6:]).digest()
        known = self._known.get(digest)
        if known is not None and authorization[:6] == _SCHEME:
            seconds = self._database_seconds()
            if seconds is not None and seconds < known.until:
                self._note(known.used, seconds, address)
                return known
        return self._find_otherwise(authorization, address)

    def note_child(self, child: KnownChild, address: str) -> None:
        """Note a use that the child token's scope allows, as its parent's."""
        seconds = self._database_seconds()
        self._note(child.used, child.read if seconds is None else seconds, address)

    def _find_otherwise(
        self, authorization: bytes, address: str
    ) -> Known | KnownChild | HeaderFault | TokenHeader:
        """Child tokens, other letter case and white space, malformed headers, and what is not known."""
        header = read_token_header(authorization)
        if not isinstance(header, TokenHeader):
            return header
        if isinstance(header.token, ImportedToken):
            return self._find_imported(header, header.token, address)
        digest = header.token.digest.value
        known = self._table.find(digest)
        seconds = self._database_seconds()
        if seconds is None:
            return header
        if known is not None and seconds < known.until:
            if isinstance(known, Known):
                self._note(known.used, seconds, address)
            return known
        return HeaderFault.INVALID if self._table.is_absent(digest, seconds) else header

    def _find_imported(
        self, header: TokenHeader, token: ImportedToken, address: str
    ) -> Known | KnownChild | HeaderFault | TokenHeader:
        """What may be another service's token: none, where nothing of its kind was ever imported."""
        digests = [digest.value for digest in token.digests(self._table.imported)]
        found = [self._known.get(digest) for digest in digests]
        seconds = self._database_seconds()
        if seconds is None:
            return header
        for known in found:
            if known is not None and seconds < known.until:
                self._note(known.used, seconds, address)
                return known
        if all(self._table.is_absent(digest, seconds) for digest in digests):
            return HeaderFault.INVALID
        return header
