"""A real nginx for tests, on the loopback; `.ci/run` installs it."""

import os
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

CONFIGURATION = """
user root; daemon off; error_log {folder}/error.log; pid {folder}/nginx.pid; worker_processes {workers};
events {{}}
http {{
  log_format timed '$remote_addr $msec $request_time $status "$request" "$http_user_agent"';
  access_log {folder}/access.log {log_format};
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  {http}
  server {{
    listen 127.0.0.1:{port};
    {server}
  }}
}}
"""
TIMED = '$remote_addr $msec $request_time $status "$request" "$http_user_agent"'


def nginx_binary():
    """The path of nginx; a test without it fails."""
    found = shutil.which("nginx", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    if found is None:
        pytest.fail("nginx is not installed: apt-get install nginx-light")
    return found


class Nginx:
    """One that runs."""

    def __init__(self, process, folder, port):
        self.process, self.folder, self.port = process, folder, port
        self.url, self.log = f"http://127.0.0.1:{port}", folder / "access.log"

    def reopen(self):
        """Let it open its log anew, as after a rotation."""
        self.process.send_signal(signal.SIGUSR1)


@contextmanager
def running(folder, port, *, http="", server="", log_format="timed", workers=1):
    """Run nginx with these lines of its configuration, its files in a folder."""
    told = {"folder": folder, "port": port, "workers": workers, "log_format": log_format}
    configuration = Path(folder) / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(http=http, server=server, **told))
    folder.chmod(0o755)
    command = [nginx_binary(), "-p", str(folder), "-c", str(configuration)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            deadline = time.monotonic() + 60
            while not (Path(folder) / "nginx.pid").exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"nginx did not start: {process.stderr.read(2_000)!r}")
                time.sleep(0.02)
            yield Nginx(process, Path(folder), port)
        finally:
            process.terminate()
            process.wait(60)
