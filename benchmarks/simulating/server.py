"""The server under load: it does so little for a request that the load is what the rate is bound by."""

import os
import subprocess
import urllib.request
from pathlib import Path

from ports import free_port
from serving import servers

from simulating.machine import SERVER
from simulating.programs import program

RUST = Path(__file__).parents[2] / "rust"
BUILD = (
    "build", "--quiet", "--locked", "--release", "--package=rateproof-simulate",
    "--example=answers",
)  # fmt: skip


class Server(servers.Server):
    """`rust/simulate/examples/answers.rs` on the processor of the server, at a free port."""

    def __init__(self) -> None:
        subprocess.run([program("cargo", "https://rustup.rs"), *BUILD], cwd=RUST, check=True)
        os.sched_setaffinity(0, {SERVER})
        port = free_port()
        super().__init__(
            str(RUST / "target" / "release" / "examples" / "answers"), str(port), ports=(port,)
        )
        self.url = f"http://127.0.0.1:{port}/"

    def counted(self) -> int:
        """Requests so far, this one included."""
        with urllib.request.urlopen(f"{self.url}counted", timeout=10) as answer:
            return int(answer.read())
