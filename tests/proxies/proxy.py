"""Proxies as they exist, run on the configurations of deploy/ with other ports put in."""

import getpass
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.conftest import need
from tests.postgresql import free_port
from tests.sockets import exchange

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
KINDS = ("nginx", "caddy", "caddy-debian", "envoy", "traefik")

NGINX = """
daemon off;
user {user};
worker_processes 1;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/nightlatch.conf;
}}
"""


def program(kind: str) -> str:
    """Where the proxy's program is; the test is skipped if it is missing."""
    name = {"caddy-debian": "caddy"}.get(kind, kind)
    wheel = Path(sys.executable).parent / name
    if kind in ("caddy", "envoy", "traefik"):
        need(wheel.exists(), f"{kind} of the development environment")
        return str(wheel)
    found = shutil.which(name, path="/usr/sbin:/usr/bin")
    need(found is not None, f"Debian's {name}")
    return str(found)


class Proxy:
    """A proxy in a process of its own."""

    def __init__(self, kind: str, folder: Path, nightlatch: int, api: int) -> None:
        self.kind = kind
        self.port = free_port()
        self._log = folder / "log"
        numbers = {"8000": nightlatch, "9000": api, "8080": self.port}
        source = DEPLOY / kind.partition("-")[0]
        for file in (file for file in source.rglob("*") if file.is_file()):
            text = re.sub(r"\b(8000|9000|8080)\b", lambda found: str(numbers[found[0]]), file.read_text())
            copy = folder / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(text)
        if kind == "nginx":
            (folder / "nginx.conf").write_text(NGINX.format(folder=folder, user=getpass.getuser()))
        arguments = {
            "nginx": ["-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")],
            "caddy": ["run", "--adapter", "caddyfile", "--config", "Caddyfile"],
            "envoy": ["--concurrency", "1", "--disable-hot-restart", "-c", "envoy.yaml"],
            "traefik": ["--configFile=traefik.yml"],
        }[kind.partition("-")[0]]
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [program(kind), *arguments], cwd=folder, env=environment, stdout=log, stderr=log
            )
        try:
            self._wait_ready()
        except RuntimeError:
            self.stop()
            raise

    def _wait_ready(self, seconds: float = 30) -> None:
        """Return when Nightlatch has refused a request; Traefik listens before it knows any route."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if exchange(self.port, "GET", "/api/v1/none/").status == 401:
                    return
            except OSError:
                pass
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.kind} did not start:\n{self.log()}")
            time.sleep(0.05)

    def log(self) -> str:
        """What it wrote."""
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        """SIGTERM, and its end."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
