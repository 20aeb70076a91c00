"""The pytest plugin: a fixture that asserts that a rate limit holds.

    def test_login_is_limited(rateproof):
        rateproof.assert_holds("http://127.0.0.1:5000/login", "5 per 5s", key="header:X-Api-Key")

pytest finds it by itself wherever rateproof is installed, and loads nothing else of
the package until a test asks for the fixture. See `docs/hunt/pipelines.md`.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, TypedDict, Unpack

import pytest

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from rateproof.hunt import TestSettings
    from rateproof.hunt.iteration import Iteration
    from rateproof.hunt.report import Subject
    from rateproof.hunt.report.summary import Totals
    from rateproof.prove import Verdict

__all__ = ["Options", "RateproofFixture", "rateproof"]


class Options(TypedDict, total=False):
    """How a limit is tested. Each may be left out; forms are those of the command line.

    Args:
        key: where each client's identity is put, such as `header:X-Api-Key`;
            default: `query:clientId`.
        claim: `over-admission`, `wrong-rejection`, `headers`, `all` or, by default, `limit`: the
            first two.
        iterations: how many; each presses a quota for about two of its windows,
            2 to 30 s. Default: 3; None: as many as fit into `duration`.
        duration: stop after it, such as `30s`.
        shrink: look for the shortest schedule that repeats a violation, which takes up
            to a minute more; on by default.
        method: of every request; default: GET.
        headers: of every request.
        body: of every request.
        max_rate: requests a second at most.
        timeout: for one answer; default: `10s`.
        tolerance_ppm: how far the server's clock may drift from ours; default: 500.
        granularity: the step of the server's clock, such as `1ms`; default: none.
        count_denied: whether denied requests use up the limit too.
        seed: of the traffic; random by default, and told on failure.
        yes: the URL may be another machine's.
        allow_inconclusive: pass where it could not be told whether the limit holds.
    """

    key: str
    claim: str
    iterations: int | None
    duration: str
    shrink: bool
    method: str
    headers: Mapping[str, str]
    body: str | bytes
    max_rate: float
    timeout: str
    tolerance_ppm: int
    granularity: str
    count_denied: bool
    seed: int
    yes: bool
    allow_inconclusive: bool


class RateproofFixture:
    """What the fixture `rateproof` is.

    Args:
        folder: where logs and summaries go.
        stack: ends what was served when the test is over.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack

    def assert_holds(
        self, url: str, policy: str = "5 per 5s", **options: Unpack[Options]
    ) -> "Verdict":
        """Send traffic that tries to break a limit; fail with the evidence if that succeeds.

        The first violation ends it.

        Args:
            url: what is limited, and answers by now.
            policy: what is claimed to hold there.
            **options: see `Options`.

        Returns:
            The verdict, for more assertions.

        Raises:
            AssertionError: the limit does not hold, the server crashed, or it
                could not be told whether the limit holds.
            TypeError: an option that there is not.
            InvalidArgument: a value that cannot be accepted, or another machine without
                `yes`: nobody is asked.
            Unreachable: nothing answers at the URL.
        """
        __tracebackhide__ = True
        from rateproof.errors import RateproofError
        from rateproof.hunt import run_test

        heard = _Heard()
        try:
            settings = _settings(url, policy, self.folder, options)
            run_test(settings, [heard], threading.Event())
        except RateproofError as error:
            # What a user did is told in the user's own line. Frames of ours would only
            # hide that, and pytest shows their arguments, which may hold secrets.
            raise error.with_traceback(None) from None
        failure = heard.failure(allow_inconclusive=options.get("allow_inconclusive", False))
        if failure is not None:
            raise AssertionError(failure)
        return heard.totals.combined

    def serve(self, app: "WSGIApplication") -> str:
        """Serve a WSGI application on a free port of this machine until the test is over.

        It has a thread for each connection, in this process.

        Args:
            app: such as a Flask application.

        Returns:
            Its URL, without a path.
        """
        return self._stack.enter_context(_served(app))


@pytest.fixture
def rateproof(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RateproofFixture]:
    """Assert of a server that it keeps its rate limit: see `RateproofFixture`."""
    with ExitStack() as stack:
        yield RateproofFixture(tmp_path_factory.mktemp("rateproof"), stack)


class _Heard:
    """A `Reporter` that keeps what a failure has to say."""

    def __init__(self) -> None:
        self._violated: tuple[Iteration, Path] | None = None
        self._crashes: list[str] = []

    def begin(self, subject: "Subject", totals: "Totals") -> None:
        """See `Reporter`."""
        self._subject, self.totals = subject, totals

    def add(self, iteration: "Iteration", log: Path) -> None:
        """See `Reporter`."""
        from rateproof.prove import VIOLATED

        if self._violated is None and iteration.verdict.outcome == VIOLATED:
            self._violated = iteration, log
        self._crashes += [str(crash) for crash in iteration.crashes]

    def end(self) -> None:
        """See `Reporter`."""

    def failure(self, *, allow_inconclusive: bool) -> str | None:
        """Why the assertion fails, None if it holds."""
        from rateproof.prove import INCONCLUSIVE

        lines: list[str] = []
        verdict = self.totals.combined
        if self._violated is not None:
            iteration, log = self._violated
            lines += ["does not hold", *_violation(iteration.verdict)]
            lines += [each.describe() for each in self.totals.reproductions]
            lines.append(f"log       {log}")
        if self.totals.crashes:
            counts = ", ".join(f"{kind}: {n}" for kind, n in self.totals.crashes.items())
            lines += [f"the server crashed ({counts})", *self._crashes]
        elif verdict.outcome == INCONCLUSIVE and not allow_inconclusive:
            lines += ["it could not be told whether it holds", *verdict.reasons]
        if not lines:
            return None
        lines.append(f"seed      {self._subject.seed}")
        first, *rest = lines
        return "\n".join([f"'{self._subject.policy}' at {self._subject.target}: {first}", *rest])


def _violation(verdict: "Verdict") -> list[str]:
    if not verdict.evidence:
        return list(verdict.reasons)
    piece = verdict.evidence[0]
    return [piece.sentence(), piece.timeline(), *verdict.reasons]


_TEXT = (str,), "a text"
_SWITCH = (bool,), "True or False"
_FORMS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "url": _TEXT,
    "policy": _TEXT,
    "key": _TEXT,
    "claim": _TEXT,
    "duration": ((str, NoneType), "a text, such as '30s'"),
    "shrink": _SWITCH,
    "method": _TEXT,
    "headers": ((Mapping,), "a mapping of names to values"),
    "body": ((str, bytes), "text or bytes"),
    "timeout": ((str,), "a text, such as '10s'"),
    "granularity": ((str,), "a text, such as '1ms'"),
    "count_denied": _SWITCH,
    "yes": _SWITCH,
    "allow_inconclusive": _SWITCH,
}
"""The types of what is no number: numbers are checked with their range."""


def _check_types(url: str, policy: str, options: Options) -> None:
    """Accept values of the types that `Options` says.

    Raises:
        TypeError: an option that there is not.
        InvalidArgument: a value of another type.
    """
    __tracebackhide__ = True
    from rateproof.errors import InvalidArgument

    unknown = [name for name in options if name not in Options.__annotations__]
    if unknown:
        known = ", ".join(Options.__annotations__)
        raise TypeError(f"assert_holds has no option {unknown[0]!r}; it has {known}")
    given: dict[str, object] = {"url": url, "policy": policy, **options}
    for name, (types, form) in _FORMS.items():
        if name in given and not isinstance(given[name], types):
            # The value of a header or a body may be a secret.
            raise InvalidArgument(f"{name} is of type {type(given[name]).__name__}", form)


def _settings(url: str, policy: str, folder: Path, options: Options) -> "TestSettings":
    __tracebackhide__ = True
    from rateproof.errors import InvalidArgument
    from rateproof.hunt import TestSettings
    from rateproof.keyspec import KeySpec
    from rateproof.policy import Policy
    from rateproof.prove.claims import CLAIM_SETS
    from rateproof.simulate.checks import check_count, check_rate
    from rateproof.simulate.scenario import fresh_seed
    from rateproof.simulate.target import Target
    from rateproof.units import parse_duration

    _check_types(url, policy, options)
    claim, duration = options.get("claim", "limit"), options.get("duration")
    if claim not in CLAIM_SETS:
        raise InvalidArgument(f"claim {claim!r}", f"one of {', '.join(CLAIM_SETS)}")
    iterations = options.get("iterations", 3)
    if iterations is None and duration is None:
        raise InvalidArgument("iterations=None and no duration", "at least one of them")
    if iterations is not None:
        check_count("iterations", iterations, 1, 10**9)
    body, seed = options.get("body", b""), options.get("seed")
    tolerance_ppm = options.get("tolerance_ppm", 500)
    check_count("tolerance_ppm", tolerance_ppm, 0, 100_000)
    if (max_rate := options.get("max_rate")) is not None:
        check_rate("max_rate", max_rate)
    if seed is None:
        seed = fresh_seed()
    check_count("seed", seed, 0, 2**63 - 1)
    target = Target.parse(url)
    if not (options.get("yes", False) or target.is_loopback):
        raise InvalidArgument(f"{target.host} is not this machine", "yes=True to send load there")
    return TestSettings(
        target=target,
        policy=Policy.parse(policy),
        key=KeySpec.parse(options.get("key", "query:clientId")),
        seed=seed,
        claims=CLAIM_SETS[claim],
        tolerance_ppm=tolerance_ppm,
        granularity_ns=parse_duration(options.get("granularity", "0s")),
        denied_count=options.get("count_denied", False),
        timeout_ns=parse_duration(options.get("timeout", "10s")),
        max_rate=max_rate,
        yes=True,
        may_start=False,
        iterations=iterations,
        duration_ns=None if duration is None else parse_duration(duration),
        fail_fast=True,
        shrink=options.get("shrink", True),
        out=folder,
        json_lines=False,
        method=options.get("method", "GET"),
        headers=tuple(options.get("headers", {}).items()),
        body=_encoded(body) if isinstance(body, str) else body,
    )


def _encoded(body: str) -> bytes:
    __tracebackhide__ = True
    from rateproof.errors import InvalidArgument

    try:
        return body.encode()
    except UnicodeEncodeError:
        raise InvalidArgument("body is no text that UTF-8 has", "bytes, or other text") from None


@contextmanager
def _served(app: "WSGIApplication") -> Iterator[str]:
    from socketserver import ThreadingMixIn
    from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

    class Server(ThreadingMixIn, WSGIServer):
        daemon_threads = True
        request_queue_size = 1024  # clients that race each other come at once

    class Handler(WSGIRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with make_server("127.0.0.1", 0, app, Server, Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
