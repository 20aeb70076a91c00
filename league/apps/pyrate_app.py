"""pyrate-limiter: 5 per 5 s of each `clientId`, a bucket in memory for each of them."""

from flask import Flask, request
from pyrate_limiter import (
    AbstractBucket,
    BucketFactory,
    InMemoryBucket,
    Limiter,
    MonotonicClock,
    Rate,
    RateItem,
)

_RATE = Rate(5, 5_000)


class BucketEach(BucketFactory):
    """As pyrate-limiter's documentation shows it: a bucket for each name."""

    def __init__(self) -> None:
        self.clock = MonotonicClock()
        self.kept: dict[str, AbstractBucket] = {}

    def wrap_item(self, name: str, weight: int = 1) -> RateItem:
        """An item that carries the present time."""
        return RateItem(name, self.clock.now(), weight=weight)

    def get(self, item: RateItem) -> AbstractBucket:
        """The bucket of the item's name, made when it is first asked for."""
        return self.kept.setdefault(item.name, InMemoryBucket([_RATE]))


def create_app() -> Flask:
    """For gunicorn: `pyrate_app:create_app()`."""
    app = Flask(__name__)
    limiter = Limiter(BucketEach())

    @app.get("/")
    def index() -> tuple[str, int]:
        admitted = limiter.try_acquire(request.args.get("clientId", ""), blocking=False)
        return ("hello\n", 200) if admitted else ("slow down\n", 429)

    return app
