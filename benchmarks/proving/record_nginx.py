"""Recorded traffic through a real nginx in front of a right limiter, as its access log shows it.

    python benchmarks/proving/record_nginx.py [FOLDER]

Needs nginx. nginx stamps a request when it has answered it, and says how long it took, to a
ms; so the decision lies in an interval of a few ms (`$msec`), or of more than a second where
the stamp is in whole seconds (`$time_iso8601`), as it is unless told otherwise. The same
200,000 requests are written both ways to `proving/logs`, from where `benchmarks/prove.py` judges
them by every family.
"""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from proving.front import nginx
from proving.limiters import our_server
from rateproof.events import Event, EventLog, open_log_writer, outcome_of

LOGS = Path(__file__).parent / "logs"
ROWS = 200_000
POLICY = "5 per 5s"

_SECOND_NS, _MS_NS = 1_000_000_000, 1_000_000
_CLIENTS, _RATE, _MOST_S = 800, 2_000, 300
_LOGS = {
    "decided": "$arg_clientId $msec $request_time $status "
    '"$sent_http_retry_after" "$sent_http_ratelimit"'
}


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else LOGS
    folder.mkdir(exist_ok=True)
    lines = record()
    for name, whole_seconds in (("nginx-msec", False), ("nginx-seconds", True)):
        log = EventLog({"fresh_keys": True, "generator": "nginx"})
        for event in sorted(events(lines, whole_seconds=whole_seconds), key=lambda e: e.sent_ns):
            log.append(event)
        with open_log_writer(folder / f"{name}.parquet", log.metadata) as writer:
            writer.write(log)
        print(f"{name}: {len(log)} rows")


def record() -> list[str]:
    """Lines of the access log of nginx, the first `ROWS`."""
    with tempfile.TemporaryDirectory() as name, our_server(POLICY) as url:
        folder = Path(name)
        limited = url.removeprefix("http://").rstrip("/")
        with nginx(limited, folder, _LOGS) as port:
            command = [
                *(sys.executable, "-m", "rateproof", "simulate", f"http://127.0.0.1:{port}/"),
                *("--behaviour", "poisson", "--clients", str(_CLIENTS), "--connections", "4"),
                *("--rate", str(_RATE), "--duration", f"{_MOST_S}s", "--seed", "1", "--plain"),
            ]
            client = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            access = folder / "decided.log"
            lines: list[str] = []
            while len(lines) < ROWS and client.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    client.wait(5)
                lines = access.read_text(encoding="ascii").splitlines()
            client.terminate()
            client.wait()
    if len(lines) < ROWS:
        raise SystemExit(f"only {len(lines)} requests in {_MOST_S} s")
    return lines[:ROWS]


def events(lines: list[str], *, whole_seconds: bool) -> Iterator[Event]:
    """The interval that each line gives for the decision on its request."""
    for line in lines:
        client, stamp, took, status, rest = line.split(" ", 4)
        retry_after, ratelimit = rest.strip('"').split('" "')
        ended_ns = int(stamp.replace(".", "")) * _MS_NS
        took_ns = int(took.replace(".", "")) * _MS_NS
        step_ns = _MS_NS
        if whole_seconds:
            ended_ns -= ended_ns % _SECOND_NS
            step_ns = _SECOND_NS
        fields = dict(part.strip().split("=") for part in ratelimit.split(";") if "=" in part)
        yield Event(
            key=client.encode("ascii"),
            # nginx reads its clock, cut to a ms, as it wakes: so before it passes a request on,
            # and after the answer is there.
            sent_ns=ended_ns - took_ns,
            received_ns=ended_ns + step_ns,
            status=int(status),
            outcome=outcome_of(int(status)),
            retry_after_s=None if retry_after == "-" else float(retry_after),
            ratelimit_remaining=int(fields["r"]) if "r" in fields else None,
            ratelimit_reset_s=float(fields["t"]) if "t" in fields else None,
        )


if __name__ == "__main__":
    main()
