"""The dashboard's queries and the alerts, against a real Prometheus; and what docs/metrics.md says."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from tests.accounts import Accounts
from tests.conftest import need
from tests.postgresql import free_port
from tests.serving import Serving
from tests.sockets import exchange, post_json, with_token

PROJECT = Path(__file__).parent.parent
RULES = PROJECT / "deploy" / "prometheus" / "nightlatch.rules.yml"
NAME = re.compile(r"\bnightlatch_[a-z_]+")
SUFFIXES = ("_bucket", "_count", "_sum")


def _dashboard() -> list[str]:
    board = json.loads((PROJECT / "deploy" / "grafana" / "nightlatch.json").read_text("utf-8"))
    return [target["expr"] for panel in board["panels"] for target in panel["targets"]]


@pytest.fixture(scope="module")
def programs() -> None:
    need(shutil.which("prometheus") is not None, "Debian's prometheus")
    need(shutil.which("promtool") is not None, "Debian's prometheus (promtool)")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Accounts, Serving]]:
    folder = tmp_path_factory.mktemp("served")
    accounts = Accounts(f"sqlite:///{folder}/nightlatch.db")
    serving = Serving(accounts.database_url, folder / "log", workers=2).wait_ready(60)
    yield accounts, serving
    serving.stop()
    accounts.close()


@pytest.mark.slow
def test_documentation_and_server_name_the_same_metrics(served: tuple[Accounts, Serving]) -> None:
    text = exchange(served[1].port, "GET", "/metrics").body.decode()
    shown = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    page = (PROJECT / "docs" / "metrics.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(nightlatch_[a-z_]+)`", page, re.MULTILINE)) == shown
    used = set(NAME.findall(" ".join(_dashboard()) + RULES.read_text("utf-8")))
    for name in used:
        assert name in shown or name.removesuffix(next(filter(name.endswith, SUFFIXES), "")) in shown
    assert shown <= {name.removesuffix("_bucket") for name in used}  # the dashboard leaves none out
    for alert in re.findall(r"alert: (\w+)", RULES.read_text("utf-8")):
        assert f"`{alert}`" in page


@pytest.mark.slow
def test_each_alert_fires_when_it_should_and_none_when_all_is_well(programs: None) -> None:
    for arguments in (
        ("check", "rules", str(RULES)),
        ("test", "rules", str(PROJECT / "tests" / "alerts.yml")),
    ):
        done = subprocess.run(["promtool", *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    tested = (PROJECT / "tests" / "alerts.yml").read_text("utf-8")
    for alert in re.findall(r"alert: (\w+)", RULES.read_text("utf-8")):
        assert f'alertname="{alert}"' in tested


@pytest.mark.slow
def test_prometheus_answers_every_query_of_the_dashboard(
    programs: None, served: tuple[Accounts, Serving], tmp_path: Path
) -> None:
    accounts, serving = served
    config = (PROJECT / "deploy" / "prometheus" / "prometheus.yml").read_text("utf-8")
    config = config.replace("127.0.0.1:8000", f"127.0.0.1:{serving.port}").replace("15s", "1s")
    (tmp_path / "prometheus.yml").write_text(config.replace("nightlatch.rules.yml", str(RULES)))
    port = free_port()
    command = [
        "prometheus",
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_scraped(port)
        person = accounts.add_person()
        unanswered = set(_dashboard())
        deadline = time.monotonic() + 60
        while unanswered:
            assert time.monotonic() < deadline, unanswered
            token = post_json(serving.port, "/api/auth/login/", person.login_body).json["token"]
            for _ in range(5):
                exchange(serving.port, "GET", "/api/auth/verify/", with_token(token))
            exchange(serving.port, "POST", "/api/auth/logout/", with_token(token))
            time.sleep(1)
            unanswered = {query for query in unanswered if not _has_figures(port, query)}
        rules = json.loads(_get(port, "/api/v1/rules"))["data"]["groups"][0]["rules"]
        assert [rule["health"] for rule in rules] == ["ok"] * 10
    finally:
        process.terminate()
        process.wait()


def _wait_scraped(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            if _query(port, "nightlatch_workers"):
                return
        except (OSError, ValueError):
            pass  # it is starting
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _has_figures(port: int, query: str) -> bool:
    concrete = query.replace("$__rate_interval", "30s").replace("$instance", ".*")
    return any(sample["value"][1] != "NaN" for sample in _query(port, concrete))


def _query(port: int, query: str) -> list[Any]:
    answered = json.loads(_get(port, f"/api/v1/query?{urlencode({'query': query})}"))
    assert answered["status"] == "success", answered
    return list(answered["data"]["result"])


def _get(port: int, target: str) -> bytes:
    with urlopen(f"http://127.0.0.1:{port}{target}", timeout=20) as reply:
        return bytes(reply.read())
