"""The token: its format, what it shows, and that malformed ones are refused without asking anybody."""

import hashlib
import pickle
import re
import traceback
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlatch.hot.header import HeaderFault, TokenHeader, read_token_header
from nightlatch.model.imported import Algorithm, ImportedKind, ImportedToken, read_kinds, spell_token
from nightlatch.model.token import TOKEN_CHARACTERS, PlainToken, generate_token, parse_token

FORMAT = re.compile(r"nlt_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")


def test_a_token_has_prefix_id_secret_and_checksum() -> None:
    token = generate_token()
    text = token.reveal()
    assert FORMAT.fullmatch(text)
    assert len(text) == TOKEN_CHARACTERS == 66
    assert token.id == text[4:16]
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    number = 0
    for character in text[-6:]:
        number = number * 62 + alphabet.index(character)
    assert number == zlib.crc32(text[:-6].encode())
    assert token.digest.value == hashlib.sha256(text.encode()).digest()


def test_tokens_do_not_repeat_and_use_every_bit_of_their_secret() -> None:
    tokens = [generate_token() for _ in range(20_000)]
    assert len({token.reveal() for token in tokens}) == len({token.id for token in tokens}) == 20_000
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    ones = [0] * 256
    for token in tokens:
        number = 0
        for character in token.reveal()[17:60]:
            number = number * 62 + alphabet.index(character)
        assert number < 2**256
        for bit in range(256):
            ones[bit] += number >> bit & 1
    # Monobit for each bit: 10,000 expected, standard deviation 71; six of them.
    assert all(abs(count - 10_000) < 430 for count in ones)


def test_a_generated_token_parses_to_itself() -> None:
    token = generate_token()
    parsed = parse_token(token.reveal().encode())
    assert parsed is not None
    assert (parsed.id, parsed.digest) == (token.id, token.digest)


@given(st.binary(max_size=200))
def test_random_bytes_are_no_token(text: bytes) -> None:
    assert parse_token(text) is None


@given(st.integers(0, 65), st.sampled_from("0Aaz_\u00e9 "))
def test_a_token_with_one_character_changed_is_no_token(position: int, character: str) -> None:
    text = generate_token().reveal()
    changed = text[:position] + character + text[position + 1 :]
    if changed != text:
        assert parse_token(changed.encode()) is None


def test_a_token_in_another_encoding_of_its_characters_is_no_token() -> None:
    text = generate_token().reveal()
    for changed in (text + "\n", "\ufeff" + text, text.replace("nlt_", "NLT_"), text[:-1], text + "0"):
        assert parse_token(changed.encode()) is None


def test_nothing_shows_a_token_in_clear() -> None:
    token = generate_token()
    secret = token.reveal()[17:]
    shown = [repr(token), str(token), f"{token}", repr(token.digest), repr([token]), repr(TokenHeader(token))]
    try:
        raise ValueError(token)
    except ValueError as error:
        shown += ["".join(traceback.format_exception(error)), repr(error)]
    with pytest.raises(TypeError):
        pickle.dumps(token)
    assert not any(secret in text or token.digest.value.hex() in text for text in shown)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (b"", HeaderFault.ABSENT),
        (b"   ", HeaderFault.ABSENT),
        (b"Bearer x", HeaderFault.ABSENT),
        (b"Tokenx", HeaderFault.ABSENT),
        (b"Token", HeaderFault.NO_TOKEN),
        (b"TOKEN\t", HeaderFault.NO_TOKEN),
        (b"Token a b", HeaderFault.SPACES),
        (b"Token \xff", HeaderFault.CHARACTERS),
        (b"Token abc", HeaderFault.INVALID),
        ("Token h\u00e4".encode(), HeaderFault.INVALID),
        (b"Token " + b"g" * 64, HeaderFault.INVALID),
    ],
)
def test_a_header_without_a_well_formed_token_is_told_apart(value: bytes, fault: HeaderFault) -> None:
    assert read_token_header(value) is fault


@given(st.binary(max_size=300))
def test_no_header_bytes_raise(value: bytes) -> None:
    read_token_header(value)
    read_token_header(b"Token " + value)


@given(
    st.sampled_from([b" ", b"\t", b"  ", b"\x0b", b"\x0c", b" \t "]),
    st.sampled_from([b"Token", b"token", b"tOKEN"]),
)
def test_scheme_in_any_case_and_any_white_space_is_fine(space: bytes, scheme: bytes) -> None:
    token = generate_token()
    header = read_token_header(scheme + space + token.reveal().encode() + space)
    assert isinstance(header, TokenHeader)
    assert isinstance(header.token, PlainToken)
    assert header.token.digest == token.digest


@pytest.mark.parametrize(
    "line",
    [
        "sha3_text 40 ",
        "sha512_hex 41 ",
        "sha512_hex 30 ",
        "sha512_hex 40 kx",
        "sha512_text 130 ",
        "sha512_text x ",
        "sha512_text -40 ",
        "sha512_text 64 a b",
        "sha512_text 64 é",
        "sha512_text 64 elevenchars",
        "sha512_text",
        "",
    ],
)
def test_kinds_of_imported_tokens_that_cannot_be_read_are_passed_over(line: str) -> None:
    known = ImportedKind(Algorithm.TEXT, "fed_", 64)
    assert read_kinds(f"{line}\nsha512_text 64 fed_") == (known,)
    assert read_kinds(line) == ()


def test_tk1_only_text_of_a_kind_that_was_imported_has_a_digest_to_look_for() -> None:
    kinds = [ImportedKind(Algorithm.TEXT, "", 64), ImportedKind(Algorithm.HEX, "", 40)]
    for text, algorithms in (
        ("a" * 64, [Algorithm.TEXT]),
        ("a" * 40, [Algorithm.HEX]),
        ("a" * 62, []),
        ("a" * 66, []),
        ("ky" + "a" * 40, []),
        ("kx" + "a" * 64, []),
    ):
        spelled = spell_token(text.encode())
        assert isinstance(spelled, ImportedToken)
        assert len(spelled.digests(kinds)) == len(algorithms), text
        assert spelled.digests([]) == ()
