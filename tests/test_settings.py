"""Settings: what is unknown or wrong stops the start, with its name and what is allowed."""

from pathlib import Path

import pytest

from nightlatch.model.errors import CannotStart
from nightlatch.settings import Settings, load_settings


def test_flag_wins_over_variable_wins_over_file_wins_over_default(tmp_path: Path) -> None:
    config = tmp_path / "nightlatch.toml"
    config.write_text('port = 1001\nhost = "192.0.2.1"\nworkers = 3\n')
    environment = {"NIGHTLATCH_PORT": "1002", "NIGHTLATCH_HOST": "192.0.2.2", "PORT": "1"}
    settings = load_settings({"port": 1003, "host": None}, config, environment)
    assert (settings.port, settings.host, settings.workers) == (1003, "192.0.2.2", 3)
    assert settings.log_format == "auto"


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("NIGHTLATCH_PROT", "1", "there is no such setting"),
        ("NIGHTLATCH_PORT", "0", "greater than or equal to 1"),
        ("NIGHTLATCH_PORT", "http", "valid integer"),
        ("NIGHTLATCH_PORT", "", "valid integer"),
        ("NIGHTLATCH_WORKERS", "-1", "greater than or equal to 1"),
        ("NIGHTLATCH_LOG_FORMAT", "xml", "'auto', 'json' or 'text'"),
        ("NIGHTLATCH_DATABASE_URL", "mysql://user:secret@host/db", "sqlite:///FILE or postgresql://"),
        ("NIGHTLATCH_DATABASE_URL", "sqlite://", "sqlite:///FILE or postgresql://"),
        ("NIGHTLATCH_DATABASE_URL", "postgresql://user:p@ss@host/db", "percent-encoded"),
        ("NIGHTLATCH_DATABASE_URL", "postgresql://user@one,/db", "HOST"),
        ("NIGHTLATCH_DATABASE_URL", "postgresql://user@one, two/db", "HOST"),
        ("NIGHTLATCH_DATABASE_URL", "postgresql:///db?host=one,two", "HOST"),
        ("NIGHTLATCH_DATABASE_URL", "sqlite:///a.db?mode=ro", "takes no parameters"),
        ("NIGHTLATCH_PASSWORD_HASH_WAIT_SECONDS", "0", "greater than 0"),
        ("NIGHTLATCH_PASSWORD_LENGTH_MIN", "7", "greater than or equal to 8"),
        ("NIGHTLATCH_PASSWORD_LENGTH_MIN", "65", "less than or equal to 64"),
        ("NIGHTLATCH_PUBLIC_URL", "auth.example.com", "https://HOST"),
        ("NIGHTLATCH_PUBLIC_URL", "https://auth.example.com/?a=secret", "https://HOST"),
        ("NIGHTLATCH_PUBLIC_URL", "https://ann:secret@auth.example.com", "https://HOST"),
        ("NIGHTLATCH_PUBLIC_URL", "https://auth.example.com:port", "https://HOST"),
        ("NIGHTLATCH_PUBLIC_URL", "javascript:alert(1)", "https://HOST"),
        ("NIGHTLATCH_SMTP_URL", "mail.example.com", "smtps://USER:PASSWORD@HOST:465"),
        ("NIGHTLATCH_SMTP_URL", "http://ann:secret@mail.example.com", "smtps://"),
        ("NIGHTLATCH_SMTP_URL", "smtps://ann:secret@", "smtps://"),
        ("NIGHTLATCH_SMTP_URL", "smtps://secret@mail.example.com", "both or none"),
        ("NIGHTLATCH_SMTP_URL", "smtps://:secret@mail.example.com", "both or none"),
        ("NIGHTLATCH_SMTP_URL", "smtps://ann:p@secret@mail.example.com", "percent-encoded"),
        ("NIGHTLATCH_SMTP_URL", "smtps://ann:p/secret@mail.example.com", "percent-encoded"),
        ("NIGHTLATCH_SMTP_URL", "smtps://ann:1/secret@mail.example.com", "percent-encoded"),
        ("NIGHTLATCH_SMTP_URL", "smtps://ann:1#secret@mail.example.com", "percent-encoded"),
        ("NIGHTLATCH_SMTP_URL", "smtps://ann:sécret@mail.example.com", "ASCII"),
        ("NIGHTLATCH_SMTP_URL", "smtps://ann:secret%C3%A9@mail.example.com", "ASCII"),
        ("NIGHTLATCH_SMTP_URL", "smtps://ann:secret%0D%0ARSET@mail.example.com", "ASCII"),
        ("NIGHTLATCH_SMTP_URL", "smtps://ann:sec\nret@mail.example.com", "ASCII"),
        ("NIGHTLATCH_SMTP_URL", "smtps://ann:secret@mail.example.com:0", "smtps://"),
        ("NIGHTLATCH_SMTP_URL", "smtps://ann:secret@mail.example.com:99999", "smtps://"),
        ("NIGHTLATCH_SMTP_URL", "smtps://ann:secret@mail..example.com", "smtps://"),
        ("NIGHTLATCH_SMTP_URL", "smtps://ann:secret@[mail]", "smtps://"),
        ("NIGHTLATCH_SMTP_URL", "smtps://ann:secret@mail.example.com/?tls=no", "smtps://"),
        ("NIGHTLATCH_SMTP_URL", "", "smtps://"),
        ("NIGHTLATCH_MAIL_FROM", "Nightlatch", "auth@example.com"),
        ("NIGHTLATCH_MAIL_FROM", "a@example.com, b@example.com", "auth@example.com"),
        ("NIGHTLATCH_MAIL_FROM", "a@example.com\nBcc: secret@example.com", "auth@example.com"),
        ("NIGHTLATCH_TLS_KEY", "key.pem", "tls_certificate and tls_key belong together"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(variable: str, value: str, allowed: str) -> None:
    with pytest.raises(CannotStart) as raised:
        load_settings({}, None, {variable: value})
    sentence = raised.value.public
    assert allowed in sentence
    if "TLS" not in variable:
        assert variable in sentence
    assert "secret" not in sentence


def test_the_settings_of_mail_belong_together() -> None:
    smtp, sender, public = (
        {"smtp_url": "smtps://ann:secret@mail.example.com"},
        {"mail_from": "Example <auth@example.com>"},
        {"public_url": "https://auth.example.com"},
    )
    for given in (smtp, sender, smtp | public, sender | public):
        with pytest.raises(CannotStart, match="smtp_url and mail_from belong together"):
            load_settings(given, None, {})
    # Else whoever sends a Host header would choose where a mailed link leads to.
    with pytest.raises(CannotStart, match="smtp_url needs public_url"):
        load_settings(smtp | sender, None, {})
    settings = load_settings(smtp | sender | public, None, {})
    assert settings.mail_from == "Example <auth@example.com>"
    assert "secret" not in repr(settings) + str(settings) + settings.model_dump_json()


def test_a_variable_of_a_single_command_is_no_setting(tmp_path: Path) -> None:
    variable = {
        "NIGHTLATCH_IMPORT_SOURCE": "postgresql://reader@db.example.com/streams",
        "NIGHTLATCH_CLIENT_PASSWORD": "a client's, on the same machine",
    }
    assert load_settings({}, None, variable) == load_settings({}, None, {})
    config = tmp_path / "config.toml"
    config.write_text("import_source = 'x'\n")
    with pytest.raises(CannotStart, match="import_source"):
        load_settings({}, config, {})


def test_every_wrong_setting_is_named_at_once() -> None:
    with pytest.raises(CannotStart) as raised:
        load_settings({}, None, {"NIGHTLATCH_PORT": "x", "NIGHTLATCH_WORKER": "2"})
    assert "NIGHTLATCH_PORT" in raised.value.public
    assert "NIGHTLATCH_WORKER" in raised.value.public


@pytest.mark.parametrize("content", ["port = ", "prot = 1", 'port = "x"', "[server]\nport = 1"])
def test_a_file_that_is_wrong_stops_the_start(content: str, tmp_path: Path) -> None:
    config = tmp_path / "nightlatch.toml"
    config.write_text(content)
    with pytest.raises(CannotStart):
        load_settings({}, config, {})


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"missing\.toml"):
        load_settings({}, tmp_path / "missing.toml", {})


def test_settings_are_frozen_and_show_no_password() -> None:
    settings = load_settings({}, None, {"NIGHTLATCH_DATABASE_URL": "postgresql://user:secret@host/db"})
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1  # type: ignore[misc]
    assert "secret" not in repr(settings) + str(settings) + settings.model_dump_json()


def test_the_documentation_names_every_setting_with_its_default() -> None:
    page = (Path(__file__).parent.parent / "docs" / "settings.md").read_text("utf-8")
    for name, field in Settings.model_fields.items():
        assert f"`{name}`" in page
        assert f"`NIGHTLATCH_{name.upper()}`" in page
        assert field.description is not None
        assert field.description in page
