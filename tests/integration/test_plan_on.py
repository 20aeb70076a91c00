"""`rateproof plan --on`: the bounds of one machine, whoever reads the logs and replays them."""

import json

import pytest

from rateproof import cli
from rateproof.plan import command, hosts

pytestmark = pytest.mark.slow

LINE = '10.0.{}.{} - - [30/Nov/2026:12:{:02}:{:02} +0000] "GET /{} HTTP/1.1" {} 6 "-" "agent {}"\n'


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """The logs of three hosts, of which two have some clients in common."""
    folder = tmp_path_factory.mktemp("logs")
    for host in range(3):
        (folder / f"host-{host}.log").write_text(
            "".join(
                LINE.format(
                    (row % 7) * (host > 1),
                    row * (host + 3) % (row % 50 + 1),
                    row // 600,
                    row // 10 % 60,
                    row % 9,
                    (200, 301, 499)[row % 3],
                    row % 5,
                )
                for row in range(3_000 + host)
            )
            + "\n"
        )
    return sorted(folder.iterdir())


@pytest.fixture
def plan(on_two, capsys):
    on_two(command)

    def run(*words):
        code = cli.main(["plan", *map(str, words), "--show-keys", "--json"])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


ASKED = "--skew", "10ms", "--policy", "9 per 10s", "--max-rejected", "1%"


def test_the_bounds_are_those_of_one_machine(plan, logs):
    alone = plan(*logs, *ASKED)
    assert json.loads(alone[1])["requests"] == 9_003
    assert plan(*logs, *ASKED, "--on", "dask") == alone


def test_however_lines_are_chosen_the_bounds_are_those_of_one_machine(plan, logs):
    for asked in (
        ["--where", "path ~ ^/[1-4]", "--since", "2026-11-30T12:01:00Z", *ASKED],
        ["--key", "ip+path", "--proxies", "1", *ASKED],
        [],
    ):
        paths = logs if "--skew" in asked else logs[:1]
        assert plan(*paths, *asked, "--on", "dask") == plan(*paths, *asked), asked
    stranger = logs[0].with_name("stranger.log")
    stranger.write_text("of no format at all\n" * 20)
    code, out, err = plan(logs[0], stranger, "--skew", "10ms", "--on", "dask")
    assert (code, out) == (65, "")
    assert f"{stranger} is of no known format" in err
    assert plan("-", "--on", "dask")[0] == 64


@pytest.mark.parametrize("harm", ["removed", "damaged"])
def test_a_part_that_is_harmed_meanwhile_is_named(plan, logs, monkeypatch, harm):
    parts = hosts._parts

    def harmed(*given):
        found = parts(*given)
        path, _ = next(iter(found.values()))
        content = path.read_bytes()
        path.write_bytes(content[:40] + b"\1" + content[41:])
        if harm == "removed":
            path.unlink()
        return found

    monkeypatch.setattr(hosts, "_parts", harmed)
    code, out, err = plan(*logs, *ASKED, "--on", "dask")
    assert (code, out) == (65, "")
    assert ".part was damaged" in err
