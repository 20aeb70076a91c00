import tempfile
from array import array
from functools import cache

import pytest

from rateproof import cli
from rateproof.events import ADMITTED, REJECTED, Event, EventLog, open_log_writer, read_log
from rateproof.events.judged import LONG
from tests.unit.check_pieces.pieces import MS, S, file_of


@pytest.fixture(scope="session")
def log(tmp_path_factory):
    """A file of 200,400 requests, of which one client got more than it was promised."""
    number, clients = 200_400, 100
    sent = array("q", (S + at // clients * S + at % clients * MS for at in range(number)))
    codes = array("i", (at % clients for at in range(number)))
    columns = {
        "key": (codes, [b"client %d" % client for client in range(clients)]),
        "sent_ns": sent,
        "received_ns": array(
            "q", (at + MS // 2 + own * 37 % 100 for at, own in zip(sent, codes, strict=True))
        ),
        "status": array("q", [200]) * number,
        "sequence": array("q", range(number)),
        "outcome": (array("i", [0]) * number, [ADMITTED]),
    }
    rows = EventLog.from_columns(columns, number, {"fresh_keys": True, "policy": "5 per 5s"})
    for extra in range(6):
        sent = 9 * S + 7 * MS + extra * MS
        rows.append(
            Event(
                key=b"client 7",
                sequence=300_000 + extra,
                sent_ns=sent,
                received_ns=sent + MS // 2,
                status=429 if extra > 3 else 200,
                outcome=REJECTED if extra > 3 else ADMITTED,
                retry_after_s=5.0 if extra > 3 else None,
            )
        )
    assert len(rows) > LONG
    return file_of(tmp_path_factory.mktemp("pieces"), rows)


@pytest.fixture
def check(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def run(*words):
        code = cli.main(["check", *map(str, words)])
        said = capsys.readouterr()
        return code, said.out, said.err

    yield run
    assert not list(tmp_path.iterdir()), "pieces were left behind"


@pytest.fixture(scope="session")
def busy(tmp_path_factory):
    """Files of 260,000 requests, 100,000 of them of one client; asked for with so many of them extra."""

    @cache
    def written(extra=0, pause=0):
        rows, own = 260_000, 100_000
        sent = array("q", (S + row * MS + pause * (row >= 50_000) for row in range(rows)))
        for row in range(50_000, 50_000 + extra):
            sent[row] = sent[49_999] + row - 49_999
        numbers = [row if row < own else own + row % 1_000 for row in range(rows)]
        codes = array("i", [0 if number < own else number - own + 1 for number in numbers])
        columns = {
            "key": (codes, [b"busy", *(b"%d" % n for n in range(1_000))]),
            "sent_ns": sent,
            "received_ns": array("q", [one + MS // 2 for one in sent]),
            "status": array("q", [200]) * rows,
            "sequence": array("q", range(rows)),
            "outcome": (array("i", [0]) * rows, [ADMITTED]),
        }
        whole = EventLog.from_columns(columns, rows, {"fresh_keys": True})
        return file_of(tmp_path_factory.mktemp("busy"), whole)

    return written


@pytest.fixture(scope="session")
def lines(log, tmp_path_factory):
    """The same log as JSON lines, what is known of the run between and after its events."""
    rows = read_log(log)
    path = tmp_path_factory.mktemp("lines") / "big.jsonl"
    with open_log_writer(path, {"fresh_keys": True}) as writer:
        writer.write(rows.take(range(100_000)))
        writer.note({"policy": "5 per 5s"})
        writer.write(rows.take(range(100_000, len(rows))))
        writer.note({"valid": True})
    return path
