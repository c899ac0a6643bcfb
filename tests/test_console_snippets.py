"""The programs that the console shows beside a new token do what they say."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from nightlatch.console.views.snippets import VARIABLE, snippets
from tests.conftest import need

TOKEN = "nlt_4fTz0aB7Qm2K_example"
COMMANDS = {
    "curl": ("sh", "call.sh"),
    "python": ("python3", "call.py"),
    "ruby": ("ruby", "call.rb"),
    "php": ("php", "call.php"),
    "javascript": ("node", "call.mjs"),
}


class _Api(BaseHTTPRequestHandler):
    """Knows one token."""

    def do_GET(self) -> None:
        known = self.headers["Authorization"] == f"Token {TOKEN}" and self.path == "/api/v1/organizations/"
        body = json.dumps({"results": [{"name": "Acme Streams"}]}).encode()
        self.send_response(200 if known else 401)
        self.send_header("Content-Length", str(len(body) if known else 0))
        self.end_headers()
        if known:
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def api() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Api)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("key", COMMANDS)
def test_a_snippet_calls_this_server_with_the_token(key: str, api: str, tmp_path: Path) -> None:
    program, name = COMMANDS[key]
    need(shutil.which(program) is not None, program)
    text = next(each.text for each in snippets(api) if each.key == key)
    (tmp_path / name).write_text(text, "utf-8")
    environment = os.environ | {VARIABLE: TOKEN, "no_proxy": "*"}
    answer = subprocess.run(
        [program, tmp_path / name], env=environment, capture_output=True, text=True, timeout=30, check=True
    )
    assert "Acme Streams" in answer.stdout
