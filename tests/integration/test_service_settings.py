"""Settings files, read by Python's reader, which the command asks first, and by the service, which reads them again."""

import subprocess

import pytest

from rateproof.enforce.service import PROGRAM
from rateproof.errors import RateproofError
from rateproof.options.declared import VERBS
from rateproof.options.sources import Sources

API = '[limits.api]\npolicy = "5 per 5s"\n'
NAMED = '[limits.{}]\npolicy = "5 per 5s"\n'
FILES = [
    API,
    "limits = 1\n",
    "[limits.api]\n",
    '[limits]\napi = "5 per 5s"\n',
    API + API,
    API + "policy = \n",
    API + "colour = 1\n",
    API + "[other]\nx = 1\n",
    "colour = 1\n" + API,
    API + "[serve]\nport = 8081\n",
    "serve = 1\n" + API,
    "service = 1\n" + API,
    API + "[[service]]\nport = 1\n",
    "\ufeff" + API,
    API + "\0",
    API.replace("\n", "\r\n"),
    API.replace('"', "'"),
    "[tool]\nrateproof = 1\n" + API,
    "[tool.rateproof]\n" + API,
    *(
        f"[limits.api]\npolicy = {policy}\n"
        for policy in (
            '["5 per 5s", "9 per 1h"]', "[]", "5", '["5 per 5s, 9 per 1h"]', '["5 per 5s; 9 per 1h"]',
            '["5 per 5s", 9]', '"5 per 5s;"', "true", "{}", "1.5", '"5 per 500ms"', '"5 per 99999d"',
        )
    ),
    *(NAMED.format(name) for name in ("-a", "_a", "A", '"a.b"', '"a b"', '"é"', '""', 64 * "a", 65 * "a")),
    *(
        f"{API}key = {key}\n"
        for key in (
            '"ip"', '["ip"]', '["header:X-Id", "ip"]', '"body:x"', '""', '"header:X Id"', '"path:0"',
            '"path:01"', '"path:99"', '"path:100"', '"Header:X"', '" ip | path "', '"query:a+ip|ip"', '"ip:"', "1",
        )
    ),
    *(
        f"{API}cost = {cost}\n"
        for cost in ("1", "5", "6", "2", "0", "0x5", "0b101", '"5"', "5.0", "true", "-1", "+5", "[5]", '["5"]', '"+5"', '" 5"', '"05"', '"1_0"', '"5.0"', 20 * "9")
    ),
    '[limits.api]\npolicy = "token-bucket 4 per 1s burst 6"\ncost = 2\n',
    '[limits.api]\npolicy = "token-bucket 4 per 1s burst 6"\ncost = 4\n',
    *(f"{API}shadow = {told}\n" for told in ("true", '"true"', '"Yes"', "1", "0", "2", '"off"', '""', "[]")),
    *(f"{API}exempt = {told}\n" for told in ('["/a"]', '"/a"', '["/a", 1]', "[]", "{}")),
    *(
        f"{API}[service]\n{line}\n"
        for line in (
            "port = 99999", 'port = "0"', "port = 1.5", "threads = 0", "status = 399", "status = 403", "nothing = 1",
            'proxies = "1"', 'proxies = ["10.0.0.0/8"]', "proxies = 101", 'show_keys = "true"', "show_keys = 1",
            "ipv6_prefix = 0", 'flood_exempt = ["10.0.0.0/8", "all"]', "connections = 0", "capacity = 67108865",
            "resp_tables = 4097", 'resp = "127.0.0.1:0"',  "host = 1.5",
        )
    ),
]  # fmt: skip
STRICTER = [
    "",
    "[limits]\n",
    '[limits.api]\npolicy = "leaky-queue 5 per 5s"\n',
    '[limits.api]\npolicy = "70000 per 1h"\n',
    *(
        f"{API}[service]\n{line}\n"
        for line in (
            "store = []",
            'store = "redis://x"', 'store = "shm://a b"', 'token = "x"', 'tls_cert = "x"', 'resp = "x"', 'host = ""',
            'flood_exempt = "10.0.0.1/8"', 'proxy_header = "X Y"',
        )
    ),
]  # fmt: skip
"""Files in which Python sees no mistake: no limits, none that tables keep, what only the program looks at."""


def accepted(file):
    """The verdicts of both: Python's, and the program's."""
    try:
        Sources(VERBS["service"], {"config": str(file)}).read()
    except RateproofError:
        known = False
    else:
        known = True
    words = ("--config", file, "--port", "0", "--capacity", "1")
    with subprocess.Popen([PROGRAM, *words], stderr=subprocess.PIPE, text=True) as process:
        try:
            first = process.stderr.readline()
        finally:
            process.kill()
    assert first.startswith(("serving ", "rateproof: error: ")), first
    return known, first.startswith("serving ")


@pytest.mark.parametrize("name", ["rateproof.toml", "pyproject.toml"])
def test_both_readers_take_the_same_files(tmp_path, name):
    file, before = tmp_path / name, "" if name == "rateproof.toml" else "tool.rateproof."
    verdicts = {}
    texts = FILES if not before else FILES[:: len(FILES) // 8]
    for text in texts:
        file.write_bytes(text.replace("[[", "[[" + before).replace("\n[", "\n[" + before).encode())
        if text.startswith("[") and not text.startswith("[["):
            file.write_bytes(file.read_bytes().replace(b"[", b"[" + before.encode(), 1))
        verdicts[text] = accepted(file)
    assert [text for text, (known, served) in verdicts.items() if known != served] == []
    assert {*verdicts.values()} == {(True, True), (False, False)}


def test_a_file_in_which_python_sees_no_mistake_may_promise_what_no_table_keeps(tmp_path):
    file = tmp_path / "rateproof.toml"
    for text in STRICTER:
        file.write_text(text)
        assert accepted(file) == (True, False), text
