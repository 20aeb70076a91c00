"""The programs as people start them: what they print, and how they end."""

import json
import signal
import socket
import subprocess
import urllib.request

import pytest

from tests.samples import quick_first

CURL = (
    "for i in 1 2 3 4 5 6; do "
    "curl -s -o /dev/null -w '%{{http_code}} ' 'http://127.0.0.1:{port}/?clientId=a'; done"
)


@pytest.fixture
def server(spawn, free_port, wait_for_port):
    """server.py with its defaults, on a free port."""
    process = spawn("server.py", "--port", free_port)
    wait_for_port(free_port, process)
    return free_port


def end(process, seconds=280):
    output, errors = process.communicate(timeout=seconds)
    assert "Traceback" not in errors
    return process.returncode, output, errors


def test_the_sixth_request_of_a_client_is_denied(server):
    done = subprocess.run(
        ["sh", "-c", CURL.format(port=server)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "200 200 200 200 200 503"


def test_port_0_and_json_tell_a_program_where_the_server_is(spawn):
    process = spawn("server.py", "--port", 0, "--workers", 2, "--json")
    facts = json.loads(process.stdout.readline())
    with urllib.request.urlopen(facts["url"] + "/healthz") as answer:
        assert answer.status == 200
    assert facts["workers"] == 2
    assert facts["policy"] == "5 per 5s"
    process.send_signal(signal.SIGINT)
    assert end(process)[0] == 0


def test_a_port_in_use_is_named_and_exits_69(spawn, server):
    code, output, errors = end(spawn("server.py", "--port", server))
    assert code == 69
    assert f"127.0.0.1:{server}" in errors or str(server) in errors
    assert output == ""


def test_the_client_without_a_terminal_asks_nothing(spawn, server):
    client = spawn(
        *("client.py", f"http://127.0.0.1:{server}", "--clients", 30),
        *("--duration", "2s", "--rate", 100, "--seed", 5, "--json"),
    )
    code, output, errors = end(client)
    assert code == 0
    assert "How many clients" not in errors
    summary = json.loads(output)
    assert summary["clients"] == 30
    assert 20 < summary["requests"] < 300
    assert set(summary["statuses"]) <= {"200", "503"}


@pytest.mark.parametrize(
    ("program", "starts"),
    [("client.py", "python server.py"), ("-mrateproof simulate", "rateproof serve")],
)
def test_without_a_server_the_client_says_how_to_start_one(spawn, free_port, program, starts):
    url = f"http://127.0.0.1:{free_port}"
    code, output, errors = end(spawn(*program.split(), url, "--clients", 3))
    assert code == 69
    assert output == ""
    assert url in errors
    assert f"{starts} --port {free_port}" in errors


@pytest.mark.parametrize(
    ("content", "problem"),
    quick_first(
        [
            (b'{"key": "a", "sent_ns": 1, "rec', "line 1 is cut off"),
            (b"", "has no events"),
            (b"127.0.0.1 - - [10/Oct/2000] GET / 200\n", "line 1 is not JSON"),
            (b'{"level": "info"}\n', "columns key"),
            (b"\x89PNG\r\n\x1a\n", "line 1 is not JSON"),
        ]
    ),
)
def test_what_is_no_log_exits_65_and_says_where(spawn, tmp_path, content, problem):
    path = tmp_path / "run.jsonl"
    path.write_bytes(content)
    code, output, errors = end(spawn("-m", "rateproof", "check", path))
    assert code == 65
    assert output == ""
    assert str(path) in errors
    assert problem in errors


@pytest.mark.parametrize("name", quick_first(["none.parquet", "none.jsonl"]))
def test_a_log_that_is_not_there_exits_65(spawn, tmp_path, name):
    code, _, errors = end(spawn("-m", "rateproof", "check", tmp_path / name))
    assert code == 65
    assert "No such file" in errors


def test_a_log_of_no_known_format_is_shown_by_its_first_line(spawn, tmp_path):
    path = tmp_path / "run.txt"
    path.write_text("hello world\n")
    code, output, errors = end(spawn("-m", "rateproof", "check", path))
    assert code == 65
    assert output == ""
    assert "run.txt is of no known format: 'hello world'" in errors


@pytest.mark.alone
def test_a_log_can_be_piped_from_the_simulator_to_the_prover(spawn, server):
    client = spawn(
        *("client.py", f"http://127.0.0.1:{server}", "--clients", 4),
        *("--behaviour", "saturate", "--duration", "1s", "--log", "-"),
    )
    code, log, _ = end(client)
    assert code == 0
    check = spawn("-m", "rateproof", "check", "-", stdin=subprocess.PIPE)
    output, errors = check.communicate(log, timeout=60)
    assert check.returncode == 0, errors
    assert output.startswith("CONSISTENT: ")


def test_an_unwritable_log_is_said_before_any_request(spawn, server, tmp_path):
    client = spawn(
        *("client.py", f"http://127.0.0.1:{server}", "--clients", 4),
        *("--log", tmp_path / "nowhere" / "run.jsonl"),
    )
    code, _, errors = end(client)
    assert code == 73
    assert str(tmp_path / "nowhere" / "run.jsonl") in errors


def test_a_port_that_speaks_no_http_is_counted_and_not_a_crash_of_ours(spawn):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        client = spawn(
            *("client.py", f"http://127.0.0.1:{port}", "--clients", 3),
            *("--duration", "1s", "--timeout", "500ms", "--json"),
        )
        code, output, _ = end(client)
    assert code == 0
    summary = json.loads(output)
    assert summary["errors"]
    assert summary["outcomes"]["unknown"] == summary["requests"]
