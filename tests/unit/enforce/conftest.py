"""One suite for every core and store: they must agree in everything that a caller sees."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from rateproof.enforce.limiter import Limiter
from rateproof.enforce.stores import remove

KINDS = [("python", "memory"), ("native", "memory"), ("native", "shm")]


@pytest.fixture
def shm_name() -> Iterator[str]:
    """A name in shared memory that no other test has, removed with what lies under it."""
    name = f"test-{uuid4().hex}"
    yield name
    remove(name)


@pytest.fixture(params=["python", "native"])
def core(request, monkeypatch) -> str:
    """The core that everything in this test opens, in memory."""
    monkeypatch.setenv("RATEPROOF_CORE", request.param)
    return request.param


@pytest.fixture(params=KINDS, ids="-".join)
def open_limiter(request, monkeypatch) -> Iterator[Callable[..., Limiter]]:
    """Open limiters in one core on stores of one kind, each store new."""
    core, kind = request.param
    monkeypatch.setenv("RATEPROOF_CORE", core)
    opened = []
    names = []

    def start(policy, **options) -> Limiter:
        store = "memory://"
        if kind == "shm":
            names.append(f"test-{uuid4().hex}")
            store = f"shm://{names[-1]}"
        limiter = Limiter(policy, store=store, **options)
        opened.append(limiter)
        return limiter

    yield start
    for limiter in opened:
        limiter.close()
    for name in names:
        remove(name)


@pytest.fixture(scope="session")
def django_project() -> None:
    """Make this process one of a Django project: there can be one, and it stays."""
    import django
    from django.conf import settings

    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rateproof.django"],
        SECRET_KEY="secret",
    )
    django.setup()
