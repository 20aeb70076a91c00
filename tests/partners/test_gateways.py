"""The recipes for gateways that `make partners` installs; nginx is in the suite."""

import os
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.gateways import check_that_it_limits, front

PARTNERS = Path(__file__).parents[2] / ".partners"
ENVIRONMENT = os.environ | {
    "PATH": f"{PARTNERS / 'bin'}:{PARTNERS.parent / '.venv/bin'}:{os.environ['PATH']}:/usr/sbin",
}
SHOP = """
import express from 'express'
const app = express()
LIMITS
app.use(async (req, res) => {
  const body = req.method === 'GET' ? undefined : 'text'
  const asked = await fetch('http://127.0.0.1:9000' + req.originalUrl, { method: req.method, body })
  res.status(asked.status).send(await asked.text())
})
app.listen(8080, '127.0.0.1')
"""


@contextmanager
def gateway(front, folder, *command):
    """A gateway that runs, in a folder, until the block ends."""
    process = subprocess.Popen(command, cwd=folder, env=ENVIRONMENT)
    try:
        front.until_ready(process)
        yield
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def behind(tmp_path, unused_port):
    with front(tmp_path, unused_port()) as it:
        yield it


def test_haproxy(behind, tmp_path):
    for name in ("limits.lua", "haproxy.cfg"):
        (tmp_path / name).write_text(behind.recipe(name))
    with gateway(behind, tmp_path, "haproxy", "-f", "haproxy.cfg"):
        check_that_it_limits(behind)


def test_caddy(behind, tmp_path):
    options = "{\n\tadmin off\n}\n"
    (tmp_path / "Caddyfile").write_text(options + behind.recipe("Caddyfile"))
    with gateway(behind, tmp_path, "caddy", "run"):
        check_that_it_limits(behind, tells_what_is_left=False, down=502, hangs=504)


def test_envoy(behind, tmp_path):
    (tmp_path / "envoy.yaml").write_text(behind.recipe("envoy.yaml"))
    words = ("--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warn")
    with gateway(behind, tmp_path, "envoy", "-c", "envoy.yaml", *words):
        check_that_it_limits(behind)


def test_express(behind, tmp_path):
    (tmp_path / "node_modules").symlink_to(PARTNERS / "node_modules")
    shop = behind.with_ports(SHOP).replace("LIMITS", behind.recipe("express.js"))
    (tmp_path / "shop.mjs").write_text(shop)
    with gateway(behind, tmp_path, "node", "shop.mjs"):
        check_that_it_limits(behind)
