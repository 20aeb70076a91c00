"""The fixture `rateproof`: it loads the rest of the package when a test calls it."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack
    from wsgiref.types import WSGIApplication

    from rateproof.hunt import TestSettings
    from rateproof.prove import Verdict
    from rateproof.testing.options import Options

__all__ = ["RateproofFixture", "rateproof"]


class RateproofFixture:
    """The fixture `rateproof`: logs and summaries go into `folder`."""

    def __init__(self, folder: Path, stack: ExitStack, root: Path) -> None:
        self.folder = folder
        self._root = root
        self._stack = stack

    def assert_holds(
        self, url: str, policy: str = "5 per 5s", **options: "Unpack[Options]"
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
        from rateproof.testing.options import settings_of

        return self._assert(partial(settings_of, url, policy, self.folder, options), options)

    def assert_endpoint(
        self, name: str, url: str | None = None, **options: "Unpack[Options]"
    ) -> "Verdict":
        """The same for an endpoint of the settings file: `rateproof.toml`, or that of pyproject.

        The file is looked for in pytest's root folder, and above it in the same repository. Where
        neither the file nor an option says how long, it is as long as `assert_holds`.

        Args:
            name: of one of `[[test.endpoints]]`.
            url: stands in place of that of `[test]`, such as what `serve` returns; what `start`
                says there is not started then.
            **options: win over the file: see `Options`.

        Returns:
            The verdict, for more assertions.

        Raises:
            AssertionError: see `assert_holds`.
            TypeError: an option that there is not.
            InvalidArgument: no file, no such endpoint, or see `assert_holds`.
            Unreachable: nothing answers at the URL.
        """
        __tracebackhide__ = True
        from rateproof.testing.options import settings_of_endpoint

        settings = partial(settings_of_endpoint, name, url, self._root, self.folder, options)
        return self._assert(settings, options)

    def _assert(self, settings: "Callable[[], TestSettings]", options: "Options") -> "Verdict":
        __tracebackhide__ = True
        from rateproof.errors import RateproofError
        from rateproof.hunt import run_test
        from rateproof.testing.assertion import Heard

        heard = Heard(self.folder)
        try:
            run_test(settings(), [heard], threading.Event())
        except RateproofError as error:
            if error.hint is not None:
                error.hint = error.hint.removesuffix(", or --self")  # no option of the fixture
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
        from rateproof.testing.serving import served

        return self._stack.enter_context(served(app))


@pytest.fixture
def rateproof(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[RateproofFixture]:
    """Assert of a server that it keeps its rate limit: see `RateproofFixture`."""
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("rateproof")
        yield RateproofFixture(folder, stack, pytestconfig.rootpath)
