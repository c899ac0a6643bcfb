"""Django's password hashes: what a check may cost is bounded, and what it says is about all of a password."""

import base64
import time

import bcrypt
import pytest

from nightlatch.guard.django_passwords import django_hash_fault, django_password_matches
from nightlatch.guard.passwords import Passwords


def encoded(size: int) -> str:
    return base64.b64encode(b"x" * size).decode()


def argon2(memory: int, passes: int, lanes: int, size: int = 32) -> str:
    salt, digest = (base64.b64encode(b"x" * n).decode().rstrip("=") for n in (16, size))
    return f"argon2$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${digest}"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (f"pbkdf2_sha256$1200000$salt${encoded(32)}", None),
        (f"pbkdf2_sha256$5000001$salt${encoded(32)}", "too many iterations"),
        (f"pbkdf2_sha1$5000001$salt${encoded(20)}", "too many iterations"),
        (f"pbkdf2_sha1$1$salt${encoded(20)}", None),
        (f"scrypt$16384$salt$8$1${encoded(64)}", None),
        (f"scrypt$16384$salt$8$5${encoded(64)}", None),  # what Django 5 and later write
        (f"scrypt$262144$salt$8$1${encoded(64)}", None),
        (f"scrypt$262144$salt$8$2${encoded(64)}", "too high a cost"),
        (f"scrypt$262144$salt$8$16${encoded(64)}", "too high a cost"),
        (f"scrypt$524288$salt$8$1${encoded(64)}", "too high a cost"),
        (f"scrypt$16384$salt$1$17${encoded(64)}", "too high a cost"),
        (argon2(102400, 2, 8), None),
        (argon2(262145, 1, 1), "too high a cost"),
        (argon2(1024, 11, 1), "too high a cost"),
        (argon2(1024, 1, 17), "too high a cost"),
        ("bcrypt$$2b$15$" + "a" * 53, None),
        ("bcrypt$$2b$16$" + "a" * 53, "too high a cost"),
        ("bcrypt_sha256$$2b$16$" + "a" * 53, "too high a cost"),
    ],
)
def test_the_cost_of_a_check_is_bounded(text: str, fault: str | None) -> None:
    assert django_hash_fault(text) == fault


@pytest.mark.parametrize(
    "text",
    [
        f"pbkdf2_sha256$1$salt${encoded(1)}",
        f"pbkdf2_sha256$1$salt${encoded(64)}",
        f"pbkdf2_sha1$1$salt${encoded(15)}",
        f"scrypt$2$salt$1$1${encoded(1)}",
        f"scrypt$2$salt$1$1${encoded(15)}",
        argon2(64, 1, 1, size=15),
        "bcrypt$$2b$04$" + "a" * 52,
    ],
)
def test_a_digest_that_chance_would_meet_is_not_taken_over(text: str) -> None:
    assert django_hash_fault(text) == "malformed"
    assert not django_password_matches("anything", text)


def test_the_dearest_scrypt_takes_no_more_than_seconds() -> None:
    start = time.monotonic()
    django_password_matches("anything", f"scrypt$262144$salt$8$1${encoded(64)}")
    assert time.monotonic() - start < 5


def test_a_password_of_which_bcrypt_read_the_beginning_is_not_hashed_anew() -> None:
    passwords = Passwords(memory_kib=8, time_cost=1, parallelism=1, threads=1, wait_seconds=1)
    long = "x" * 73
    plain = "bcrypt$" + bcrypt.hashpw(long[:72].encode(), bcrypt.gensalt(4)).decode()
    assert django_password_matches(long[:72] + "another end", plain)
    assert not passwords.needs_rehash(plain, long)
    assert not passwords.needs_rehash(plain, "é" * 37)
    assert passwords.needs_rehash(plain, long[:72])
    assert passwords.needs_rehash(plain.replace("bcrypt$", "bcrypt_sha256$"), long)
    assert passwords.needs_rehash(f"pbkdf2_sha256$1$salt${encoded(32)}", long)
    passwords.close()
