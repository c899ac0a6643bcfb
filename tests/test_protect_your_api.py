"""docs/protect-your-api.md: its code, as it stands there, guards an API in front of a real Nightlatch."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.accounts import Accounts, Person
from tests.postgresql import free_port
from tests.serving import Serving
from tests.sockets import exchange, with_token
from tests.test_sample_api import running

PAGE = Path(__file__).parent.parent / "docs" / "protect-your-api.md"
FILES = dict(
    re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
)
PROJECT = """
SECRET_KEY = "test"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "urls"
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "rest_framework"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": __file__ + ".db"}}
"""
"""What a project of Django's has anyway."""

DJANGO = ("wsgi", "--factory", "django.core.wsgi:get_wsgi_application")
APIS = {
    "fastapi_api": ("asgi", "fastapi_api:api"),
    "flask_api": ("wsgi", "flask_api:api"),
    "asgi_api": ("asgi", "asgi_api:api"),
    "settings": DJANGO,
    "own_users": DJANGO,
    "all_views": DJANGO,
}


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Accounts]:
    made = Accounts(f"sqlite:///{tmp_path_factory.mktemp('database')}/nightlatch.db")
    yield made
    made.close()


@pytest.fixture(scope="module")
def server(accounts: Accounts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    serving = Serving(accounts.database_url, tmp_path_factory.mktemp("server") / "log").wait_ready()
    yield serving
    assert serving.stop() == 0


def test_every_block_of_code_is_a_file_that_is_run() -> None:
    assert PAGE.read_text("utf-8").count("```python") == len(FILES)
    assert set(FILES) == {f"{name}.py" for name in (*APIS, "urls", "people")}


@pytest.mark.parametrize("name", APIS)
def test_the_code_of_the_page_guards_an_api(
    name: str, server: Serving, accounts: Accounts, tmp_path: Path
) -> None:
    for file, text in FILES.items():
        text = text.replace("http://127.0.0.1:8000", f"http://127.0.0.1:{server.port}")
        (tmp_path / file).write_text((PROJECT if file == "settings.py" else "") + text)
    environment = {"PYTHONPATH": str(tmp_path), "DJANGO_SETTINGS_MODULE": name}
    owner = accounts.add_person()
    member = accounts.add_person_to(owner.organization_id)
    if name == "own_users":
        make_user(tmp_path, environment, owner)
    port = free_port()
    interface, *target = APIS[name]
    command = [sys.executable, "-m", "granian", "--interface", interface, "--port", str(port)]
    command += ["--working-dir", str(tmp_path), *target]
    with running(command, port, tmp_path / "log", environment):

        def ask(path: str, token: str | None) -> int:
            reply = exchange(port, "GET", path, with_token(token) if token else [])
            if reply.status == 200 and path.endswith("/assets/"):
                assert reply.json["organization"] == owner.organization_id
                # A project's own user has the address in its own letters.
                assert reply.json["for"].lower() == owner.username
            return reply.status

        token, of_member = accounts.log_in(owner), accounts.log_in(member)
        assets = f"/api/v1/{owner.organization_id}/assets/"
        assert [ask(assets, one) for one in (token, None, token + "x")] == [200, 401, 401]
        for elsewhere in ("/api/v1/other9/assets/", "/api/v1/%6fther9/assets/"):
            assert ask(elsewhere, token) == 403
        if APIS[name] == DJANGO:
            invoices = assets.replace("assets", "invoices")
            assert ask(invoices, token) == 200
            assert ask(invoices, of_member) == (401 if name == "own_users" else 403)
        if name in ("asgi_api", "all_views", "flask_api"):
            assert ask("/nothing/", None) == 401
            assert ask("/health/", None) in (200, 404)
        assert exchange(server.port, "POST", "/api/auth/logout/", with_token(token)).status == 204
        assert ask(assets, token) == 401


def test_the_asgi_example_guards_under_a_prefix_too(
    server: Serving, accounts: Accounts, tmp_path: Path
) -> None:
    text = FILES["asgi_api.py"].replace("http://127.0.0.1:8000", f"http://127.0.0.1:{server.port}")
    (tmp_path / "asgi_api.py").write_text(text)
    owner, port = accounts.add_person(), free_port()
    token = accounts.log_in(owner)
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--port", str(port)]
    command += ["--url-path-prefix", "/v2", "--working-dir", str(tmp_path), "asgi_api:api"]
    with running(command, port, tmp_path / "log", {"PYTHONPATH": str(tmp_path)}):
        for organization_id, status in ((owner.organization_id, 200), ("other9", 403)):
            path = f"/v2/api/v1/{organization_id}/assets/"
            assert exchange(port, "GET", path, with_token(token)).status == status, path


def make_user(folder: Path, environment: dict[str, str], person: Person) -> None:
    """The project's own user, with the e-mail address in other letters."""
    make = (
        "from django.contrib.auth import get_user_model as model; "
        f"model().objects.create_user({person.username!r}, {person.username.capitalize()!r})"
    )
    for command in (["migrate", "-v", "0"], ["shell", "-v", "0", "-c", make]):
        subprocess.run(
            [sys.executable, "-m", "django", *command],
            cwd=folder,
            env={**os.environ, **environment},
            check=True,
        )
