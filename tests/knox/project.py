"""A small Django project with tokens, run in a process of its own: with whatever knox is on its path.

Reads what to make from standard input, and writes the tokens in clear to standard output, as JSON.
"""

import json
import sys
from datetime import timedelta
from typing import Any

PASSWORD = "pässword: as it was"
ALGORITHMS = {
    "pbkdf2_sha256": "PBKDF2PasswordHasher",
    "pbkdf2_sha1": "PBKDF2SHA1PasswordHasher",
    "argon2": "Argon2PasswordHasher",
    "bcrypt": "BCryptPasswordHasher",
    "bcrypt_sha256": "BCryptSHA256PasswordHasher",
    "scrypt": "ScryptPasswordHasher",
    "md5": "MD5PasswordHasher",
}


def configure(wanted: dict[str, Any]) -> None:
    """Django's settings, as a project's."""
    if wanted["database"]["ENGINE"].endswith("mysql"):
        import pymysql

        pymysql.version_info = (2, 2, 1, "final", 0)  # what Django asks of the driver that it knows
        pymysql.install_as_MySQLdb()
    import django
    from django.conf import settings

    tokens = "rest_framework.authtoken" if wanted["service"] == "drf" else "knox"
    settings.configure(
        SECRET_KEY="x",
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rest_framework", tokens],
        DATABASES={"default": wanted["database"]},
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        PASSWORD_HASHERS=[f"django.contrib.auth.hashers.{name}" for name in ALGORITHMS.values()],
        REST_KNOX={"TOKEN_PREFIX": wanted["prefix"]} if wanted["prefix"] else {},
    )
    django.setup()


def make(wanted: dict[str, Any]) -> dict[str, Any]:
    """Users of organizations, each with tokens, of which every tenth has expired."""
    from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import connection, transaction

    call_command("migrate", verbosity=0)
    name = wanted["name"]
    cheap = PBKDF2PasswordHasher().encode(PASSWORD, "salt", iterations=1)
    users = [
        User(username=f"{name}-{number}@example.com", email="", password=cheap)
        for number in range(wanted["organizations"] * wanted["users"])
    ]
    special = {
        algorithm: User(
            username=f"{name}-{algorithm}@example.com",
            password=make_password(PASSWORD, hasher=algorithm),
        )
        for algorithm in (ALGORITHMS if wanted["slow_hashes"] else ("md5",))
    }
    special["none"] = User(username=f"{name}-none@example.com", password=make_password(None))
    special["inactive"] = User(username=f"{name}-inactive@example.com", password=cheap, is_active=False)
    special["named"] = User(username=f"{name}bob", email=f"{name}-Bob@Example.com", password=cheap)
    special["nameless"] = User(username=f"{name}-nobody", email="", password=cheap)
    User.objects.bulk_create([*users, *special.values()])
    everybody = list(User.objects.order_by("id"))
    tokens = []
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "CREATE TABLE streams_member (user_id bigint NOT NULL, organization_id varchar(32) NOT NULL, "
                "organization_name varchar(200) NOT NULL, role varchar(16) NOT NULL)"
            )
            for number, user in enumerate(everybody):
                organization = number // wanted["users"] % wanted["organizations"]
                cursor.execute(
                    "INSERT INTO streams_member VALUES (%s, %s, %s, %s)",
                    [
                        user.id,
                        f"{name}{organization}",
                        f"Organization {organization}",
                        "owner" if number % wanted["users"] == 0 else "member",
                    ],
                )
        for user in everybody:
            for number in range(wanted["tokens"]):
                tokens.append(make_token(wanted["service"], user, expired=number % 10 == 9))
    return {
        "tokens": tokens,
        "users": [user.username for user in everybody],
        "special": {kind: user.username for kind, user in special.items()},
    }


def make_token(service: str, user: Any, expired: bool) -> dict[str, Any]:
    """A token by the service's own code."""
    from django.utils import timezone

    if service == "drf":
        from rest_framework.authtoken.models import Token

        key = Token.objects.get_or_create(user=user)[0].key
        return {"token": key, "user": user.username, "expired": False}
    from knox.models import AuthToken

    instance, token = AuthToken.objects.create(user=user, expiry=timedelta(days=10))
    if expired:
        AuthToken.objects.filter(digest=instance.digest).update(expiry=timezone.now() - timedelta(minutes=1))
    return {"token": token, "user": user.username, "expired": expired}


def main() -> None:
    """Make what is asked for, or run what a test wants to have done with what was made."""
    wanted = json.load(sys.stdin)
    configure(wanted)
    if "do" in wanted:
        exec(wanted["do"])
        return
    made = make(wanted)
    if wanted["export"]:
        from django.core.management import call_command

        call_command("dumpdata", "auth.user", *wanted["models"], format="jsonl", output=wanted["export"])
    json.dump(made, sys.stdout)


if __name__ == "__main__":
    main()
