"""The server of all clients: nginx with one worker, or the emulator where nginx is not installed.

The emulator is Python, and slower than a fast client: figures name the server.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import psutil
from answers import BODY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where a distribution puts nginx; a user's PATH may not have them."""
_START_SECONDS = 10

_CONF = """
pid {folder}/nginx.pid;
daemon off;
master_process off;
worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  log_format calls '$msec $project';
  access_log {log};
  tcp_nodelay on;
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  large_client_header_buffers 4 64k;
  server {{
    listen 127.0.0.1:{port} backlog=2048;
    location ~ "^/v2/(?<project>[^/]+)/fgs/functions/(?<urn>[^/]+)/async-invoke-config$" {{
      default_type application/json;
      add_header X-Request-Id $request_id;
      return 200 '{body}';
    }}
  }}
}}
"""


class Server(NamedTuple):
    """A server that answers.

    Attributes:
        url: its base URL.
        name: program and version.
        process: its process.
    """

    url: str
    name: str
    process: psutil.Process

    def cpu(self) -> float:
        """Seconds of CPU until now, of user and system."""
        times = self.process.cpu_times()
        return times.user + times.system


def find_nginx() -> str | None:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:{_SYSTEM_FOLDERS}")


@contextmanager
def running(folder: Path, urns: Path, log: Path | None = None) -> Iterator[Server]:
    """A server that knows every URN of a list.

    Args:
        folder: for the files of the server.
        urns: the list; nginx needs none, it answers for every URN.
        log: gets seconds and project of each call, from nginx.
    """
    nginx = find_nginx()
    if nginx is None:
        sys.stderr.write("nginx is not installed: the emulator answers, and is slower than the clients\n")
        with _emulator(folder, urns) as server:
            yield server
    else:
        with _nginx(nginx, folder, log) as server:
            yield server


@contextmanager
def _nginx(program: str, folder: Path, log: Path | None) -> Iterator[Server]:
    port = _free_port()
    body = (BODY % "$urn").replace("\\", "\\\\")  # nginx takes one layer of backslashes off
    conf = folder / "nginx.conf"
    calls = "off" if log is None else f"{log} calls buffer=64k"
    conf.write_text(_CONF.format(folder=folder, port=port, body=body, log=calls))
    version = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stderr
    command = [program, "-e", "stderr", "-p", str(folder), "-c", str(conf)]
    with subprocess.Popen(command) as process:
        try:
            _wait_for(port, process)
            name = version.strip().removeprefix("nginx version: ")
            yield Server(f"http://127.0.0.1:{port}", name, psutil.Process(process.pid))
        finally:
            process.terminate()


@contextmanager
def _emulator(folder: Path, urns: Path) -> Iterator[Server]:
    state = folder / "state.json"
    asked = urns.read_text().split()
    state.write_text(json.dumps({"functions": {urn: json.loads(BODY % urn) for urn in asked}}))
    command = [sys.executable, "-m", "inventory", "emulate", "--port", "0", "--state", str(state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            url = process.stdout.readline().strip()
            yield Server(url, "the emulator (no nginx here)", psutil.Process(process.pid))
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("nginx did not start; see its message above") from None
            time.sleep(0.02)
        else:
            return
