"""The server's settings as people give them: flags, the environment, a file, and what is logged."""

import contextlib
import os
import re

import pytest

from tests.samples import quick_first

NATIVE, PYTHON, BARE = "native core, granian", "python core, granian", "bare"
LINE = re.compile(r"^127\.0\.0\.1 'GET (.+)' (\d+) \d+\.\d{3} ms$", re.MULTILINE)


def test_flags_win_over_the_environment_and_that_over_the_file(start, tmp_path):
    file = tmp_path / "server.toml"
    file.write_text('policy = ["2 per 1h", "9 per 2h"]\nstatus = 429\nkey = "ip"\nworkers = 3\n')
    server = start(
        NATIVE,
        *("--key", "header:X"),
        RATEPROOF_CONFIG=str(file),
        RATEPROOF_KEY="cookie:a",
        RATEPROOF_WORKERS="2",
    )
    assert "2 per 1h; 9 per 2h per header:X, 2 workers" in server.said[-1]
    statuses = [server.ask(headers={"X": "a"})[0] for _ in range(3)]
    assert statuses == [200, 200, 429]


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (("--port", "70000"), {}, "--port: 70000"),
        ((), {"RATEPROOF_WORKERS": "many"}, "RATEPROOF_WORKERS: 'many'"),
        (("--config", "nowhere.toml"), {}, "cannot read settings 'nowhere.toml'"),
        (("--workers", "2", "--store", "memory://"), {}, "they cannot share"),
    ],
)
def test_a_bad_setting_ends_it_before_it_listens(spawn, arguments, environment, words):
    process = spawn("-m", "rateproof", "serve", *arguments, env=os.environ | environment)
    out, err = process.communicate(timeout=280)
    assert process.returncode == 64
    assert words in err
    assert "Traceback" not in out + err


def test_variables_that_are_no_settings_are_named_and_ignored(start):
    server = start(NATIVE, RATEPROOF_PROT="1")
    assert "RATEPROOF_PROT" in server.said[0]
    assert server.status("a") == 200


@pytest.mark.parametrize("flavour", quick_first([NATIVE, BARE]))
def test_the_password_of_a_store_is_said_nowhere(start, flavour):
    server = start(flavour, "--json", "--store", "redis://app:secret@127.0.0.1:1/0", "--access-log")
    assert server.status("a") == 503
    assert b"secret" not in server.ask("/metrics")[2]
    _, _, said = server.stop()
    assert '"store": "redis://127.0.0.1:1/0"' in said
    assert "secret" not in said


@pytest.mark.parametrize(
    ("flavour", "proxies", "key", "warned"),
    [
        (NATIVE, 1, "ip", True),
        (NATIVE, 1, "header:X|ip", False),  # over ASGI
        (NATIVE, 0, "ip", False),
        (BARE, 1, "ip", False),
    ],
)
def test_of_fields_that_pass_for_those_of_proxies_is_warned_where_they_do(
    start, flavour, proxies, key, warned
):
    server = start(flavour, "--proxies", proxies, "--key", key, "--policy", "1 per 1h")
    fields = {"X-Forwarded-For": "192.0.2.1"}
    forged = [server.ask(headers=fields | {"X_Forwarded_For": f"192.0.2.{n}"})[0] for n in (2, 3)]
    assert ("X_Forwarded_For" in "".join(server.said)) == warned
    assert (forged == [200, 200]) == warned


@pytest.mark.parametrize("flavour", quick_first([NATIVE, BARE]))
def test_there_is_no_access_log_unless_asked_for(start, flavour):
    server = start(flavour)
    assert server.status("secret") == 200
    assert not LINE.search(server.stop()[2])


@pytest.mark.parametrize("flavour", quick_first([NATIVE, BARE]))
def test_the_access_log_has_a_line_a_request_and_no_identities(start, flavour):
    server = start(flavour, "--access-log", "--policy", "1 per 1h")
    assert [server.status("secret"), server.status("secret")] == [200, 503]
    assert server.ask("/healthz")[0] == 200
    assert server.ask("/a%0A127.0.0.1%20b%1b?clientId=c")[0] == 404
    _, _, said = server.stop()
    forged = ("/a\\n127.0.0.1 b\\x1b", "404")
    assert LINE.findall(said) == [("/", "200"), ("/", "503"), ("/healthz", "200"), forged]
    assert "secret" not in said


@pytest.mark.parametrize("flavour", quick_first([NATIVE, BARE]))
def test_in_shadow_mode_all_pass_and_are_counted(start, flavour):
    server = start(flavour, "--shadow", "--policy", "1 per 1h")
    assert [server.status("a") for _ in range(3)] == [200] * 3
    page = server.ask("/metrics")[2].decode()
    assert "\nrateproof_shadow_total 2\n" in page


@pytest.mark.parametrize(("choice", "status"), [("deny", 503), ("admit", 200)])
def test_what_happens_to_clients_beyond_the_capacity_is_a_choice(start, choice, status):
    server = start(NATIVE, "--capacity", 10, "--on-full", choice, "--policy", "1 per 1h")
    with contextlib.closing(server.connect()) as connection:
        statuses = [server.status(f"client-{n}", connection=connection) for n in range(100)]
    assert statuses[:10] == [200] * 10
    assert statuses[-1] == status
    page = server.ask("/metrics")[2].decode()
    assert int(re.search(r"^rateproof_full_total (\d+)$", page, re.MULTILINE)[1]) > 0


def test_paths_can_be_exempt(start):
    server = start(NATIVE, "--exempt", "/none,/", "--policy", "1 per 1h")
    assert [server.status("a") for _ in range(3)] == [200] * 3
    assert [server.ask("/other")[0] for _ in range(2)] == [404, 503]
