"""The page in a real browser without a network: it draws, complains of nothing, asks for nothing."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rateproof.cli import main
from rateproof.events import Event, EventLog
from rateproof.hunt.report.page import write_page
from rateproof.hunt.report.subject import Subject
from rateproof.hunt.report.totals import Totals
from rateproof.policy import Policy
from rateproof.prove import judge

ATTACK = b"</script><img src=http://evil.example/x onerror=alert(1)>$$\\x$$"
POLICY = Policy.parse("5 per 5s")

_ON_3_AND_4 = """
import os, sys
for place, fd in enumerate(map(int, sys.argv[1:3]), 3):
    os.dup2(fd, place)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """One page in it; what it complains of and asks the network for is kept."""

    def __init__(self, program: str, folder: Path) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        there, self._out = os.pipe()
        self._in, back = os.pipe()
        arguments = [
            *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *(f"--user-data-dir={folder}", "--host-resolver-rules=MAP * ~NOTFOUND"),
            *("--remote-debugging-pipe", "about:blank"),
        ]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _ON_3_AND_4, str(there), str(back), program, *arguments],
            pass_fds=(there, back),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(there)
        os.close(back)
        self._buffer, self._number, self._session = b"", 0, None
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        about = {"targetId": target, "flatten": True}
        self._session = self.do("Target.attachToTarget", **about)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.do(f"{domain}.enable")

    def open(self, path: Path, *, width: int = 1100, height: int = 900, dark: bool = False) -> None:
        """Show a file, and wait until it has been drawn."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.do("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.do("Emulation.setEmulatedMedia", features=[scheme])
        self.do("Page.navigate", url=path.as_uri())
        self.evaluate(
            """new Promise(done => {
              const wait = () => document.readyState == "complete"
                ? requestAnimationFrame(done) : setTimeout(wait, 20);
              wait();
            })"""
        )

    def evaluate(self, script: str) -> object:
        """The value of an expression on the page."""
        answer = self.do(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def drawn(self) -> object:
        """Number of pictures that have parts that take room."""
        return self.evaluate(
            """[...document.querySelectorAll("[role=img]")].filter(picture =>
              [...picture.querySelectorAll("rect, polyline, .track i")].some(part => {
                const box = part.getBoundingClientRect();
                return box.width + box.height > 0;
              })).length"""
        )

    def do(self, method: str, **parameters: object) -> dict:
        """One command, and its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def _read(self) -> dict:
        while b"\0" not in self._buffer:
            chunk = os.read(self._in, 1 << 20)
            assert chunk, "the browser ended"
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\0")
        event = json.loads(line)
        about = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                self.complaints.append(str(about["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if about["type"] in {"error", "warning", "assert"}:
                self.complaints.append(str(about["args"]))
            case "Log.entryAdded" if about["entry"]["level"] in {"error", "warning"}:
                self.complaints.append(str(about["entry"]))
            case "Network.requestWillBeSent" if not about["request"]["url"].startswith("data:"):
                self.requests.append(about["request"]["url"])
        return event

    def close(self) -> None:
        """End it and all of its processes."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._in)
        os.close(self._out)


@pytest.fixture(scope="module")
def browser(chromium, tmp_path_factory):
    browser = Browser(chromium, tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


@pytest.fixture
def show(browser, tmp_path):
    """Open the page on some requests: (seconds, status) of a hostile key."""

    def make(*rows, **how):
        log = EventLog({"fresh_keys": True})
        for number, (second, status) in enumerate(rows, 1):
            sent_ns = int(second * 1e9)
            log.append(
                Event(
                    key=ATTACK,
                    sequence=number,
                    sent_ns=sent_ns,
                    received_ns=None if status is None else sent_ns + 2_000_000,
                    done_ns=sent_ns + 2_000_000,
                    status=status,
                    outcome={200: "admitted", 429: "rejected", None: "unknown"}[status],
                    error=None if status else "<b>$$\\x$$</b>",
                )
            )
        subject = Subject(verb="check", target=ATTACK.decode(), policy=str(POLICY))
        path = tmp_path / "test_report.html"
        totals = Totals()
        totals.judge(judge(log, POLICY))
        write_page(path, subject, totals, log)
        browser.complaints.clear()
        browser.requests.clear()
        browser.open(path, **how)
        return browser

    return make


BREACH = [(0, 200), (0.1, 200), (0.2, 200), (0.3, 200), (0.4, 200), (0.5, 200), (1, 429), (2, None)]
KEPT = [(n / 10, 200) for n in range(5)] + [(1 + n / 10, 429) for n in range(20)]


@pytest.mark.parametrize(
    ("rows", "outcome", "charts", "how"),
    [
        (BREACH, "VIOLATED: 6 let through", 3, {"width": 360, "dark": True}),
        (BREACH, "VIOLATED: 6 let through", 3, {"width": 1100}),
        (KEPT, "CONSISTENT: never", 2, {"width": 360}),
        (KEPT, "CONSISTENT: never", 2, {"width": 1100, "dark": True}),
    ],
)
def test_it_draws_its_charts_and_stays_silent(show, rows, outcome, charts, how):
    browser = show(*rows, **how)
    assert outcome in browser.evaluate("document.querySelector('h1').textContent")
    assert browser.drawn() >= charts
    assert browser.complaints == []
    assert all(url.startswith("file:") for url in browser.requests), browser.requests
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_plan_draws_its_page_at_each_width_and_a_hostile_key_does_nothing(browser, tmp_path):
    log, page = tmp_path / "access.log", tmp_path / "plan.html"
    times = [1_790_000_000 + at / 10 for at in range(200)]
    lines = (f'192.0.2.1 {at:.3f} 0.001 200 "{ATTACK.decode()}"\n' for at in times)
    log.write_text("".join(lines))
    told = ["--format", '$remote_addr $msec $request_time $status "$http_x_key"']
    told += ["--key", "header:X-Key", "--policy", "5 per 5s", "--show-keys", "--report", str(page)]
    assert main(["plan", str(log), *told]) == 0
    browser.complaints.clear()
    browser.requests.clear()
    for width in (1280, 390):
        browser.open(page, width=width)
        assert "5 per 5s would have rejected" in browser.evaluate("document.body.innerText")
        assert "</script><img src=http" in browser.evaluate("document.body.innerText")
        assert browser.drawn() >= 3
        assert browser.complaints == []
        assert all(url.startswith("file:") for url in browser.requests), browser.requests
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_dark_and_light_differ_in_the_paper_and_the_ink(show):
    colours = "(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))"
    light = show(*KEPT).evaluate(colours)
    dark = show(*KEPT, dark=True).evaluate(colours)
    assert light == dark[::-1] or not set(light) & set(dark)


def test_a_hostile_key_is_read_as_text_and_does_nothing(show):
    browser = show(*BREACH)
    assert "</script><img src=http" in browser.evaluate("document.body.innerText")
    assert browser.evaluate("document.querySelectorAll('img').length") == 0
    assert "evil" not in " ".join(browser.requests)


def test_even_markup_that_got_onto_the_page_could_not_reach_out_or_run(show):
    """The page's own policy stops what escaping should have."""
    browser = show(*KEPT)
    browser.evaluate(
        """new Promise(done => {
          document.body.insertAdjacentHTML("beforeend",
            "<img src='https://evil.example/x' onerror='window.ran = true'>");
          const script = document.createElement("script");
          script.textContent = "window.ran = true";
          document.body.append(script);
          setTimeout(done, 100);
        })"""
    )
    assert browser.evaluate("window.ran === undefined")
    assert any("Content Security Policy" in complaint for complaint in browser.complaints)
