"""Logs of k6 and vegeta obey `--memory`: the same verdict, in every field, as read whole."""

import base64
import json
import random
import tempfile

import pytest

from rateproof import cli
from rateproof.events import bounded, costs, importers, judged, splitter
from tests.samples import samples

pytest.importorskip("rateproof._native", reason="the native core is not built")

BEGIN_NS = 1_790_000_000 * 10**9


def k6(rng, requests):
    """Requests as k6 notes them, of some not when they were written."""
    for at_ns, client, took_ns, status in requests:
        tags = {"url": f"http://h/?clientId={client}", "status": str(status)}
        noted = rng.random() < 0.9
        second, rest = divmod(at_ns + took_ns, 10**9)
        time = f"2026-09-21T{13 + second // 3600 % 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{rest:09}Z"
        for metric, value in (("duration", took_ns / 1e6), ("sending", 0.01 * noted)):
            data = {"time": time, "value": value, "tags": tags}
            yield json.dumps({"metric": f"http_req_{metric}", "type": "Point", "data": data})


def vegeta(rng, requests):
    """Results of two attacks as vegeta writes them."""
    count = {"": 0, "more": 0}
    for at_ns, client, took_ns, status in requests:
        attack = rng.choice([*count])
        headers = base64.b64encode(b"Retry-After: 3\r\n" if status == 429 else b"").decode()
        fields = (BEGIN_NS + at_ns, status, took_ns, 0, 0, "", "", attack, count[attack], "GET",
                  f"http://h/?clientId={client}", headers)  # fmt: skip
        count[attack] += 1
        yield ",".join(map(str, fields))


def requests_of(rng):
    """Requests of a limiter of 5 per 5 s that errs now and then, or is gone."""
    clients, at_ns = rng.randrange(5, 40), 0
    for _ in range(rng.randrange(300, 900)):
        at_ns += rng.randrange(300_000_000 // clients * 10)
        yield (
            at_ns,
            rng.randrange(clients),
            rng.randrange(200_000, 50_000_000),
            rng.choice((200, 200, 200, 429, 0)),
        )


@pytest.mark.parametrize("tool", [k6, vegeta])
def test_memory_matters_to_no_field_of_a_verdict(tool, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(judged, "LONG", 100)  # what goes to pieces is long
    monkeypatch.setattr(splitter, "LONG", 100)

    def check(*words):
        code = cli.main(["check", str(path), "--policy", "5 per 5s", "--json", *words])
        said = capsys.readouterr()
        return (code, json.loads(said.out)), said.err

    path = tmp_path / "log"
    for seed in range(samples(3)):
        rng = random.Random(seed)
        path.write_text("".join(f"{line}\n" for line in tool(rng, requests_of(rng))))
        whole, _ = check()
        with monkeypatch.context() as little:
            little.setattr(importers, "_EVENTS_A_BATCH", rng.choice((1, 50, 299)))
            little.setattr(bounded, "BYTES_A_ROW", 70_000_000 // rng.choice((1, 100, 290)))
            little.setattr(costs, "_BYTES_A_ROW", 10_000_000)
            little.setattr(costs, "BYTES_IN_TURN", rng.choice((20_000, 60_000)))
            parted, told = check("--memory", "190MB")
        assert "it goes to" in told
        assert "pieces by key" in told
        assert parted == whole
        assert whole[1]["counts"]["events"] >= 300
    assert not list((tmp_path / "tmp").iterdir())
