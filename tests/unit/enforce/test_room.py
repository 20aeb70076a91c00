"""Places of a table: an address with its share gets none for new keys."""

import os
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context

import pytest

from rateproof import AsgiRateLimitMiddleware, InvalidArgument, Limiter, ManualClock
from rateproof import RateLimitMiddleware as Wsgi
from rateproof.enforce.counters import Count
from rateproof.enforce.http import ClientAddress
from rateproof.enforce.room import Room
from rateproof.errors import StoreError

HOUR = "5 per 5s; 1000 per 1h"
CAPACITY, SLOTS = 200, 352
LARGE = 1_000, 1_752


class Server:
    """A limiter behind an application; each call is a request of an address and an identity."""

    def __init__(self, kind=Wsgi, policy=HOUR, capacity=CAPACITY, **options):
        at = {"clock": ManualClock(10**12)} | {
            name: options.pop(name)
            for name in ("clock", "store", "on_full", "shadow", "exempt")
            if name in options
        }
        self.limiter = Limiter(policy, capacity=capacity, **at)
        self.kind = kind
        self.app = kind(self._greet if kind is Wsgi else self._agreet, self.limiter,
                        key="query:id|ip", **options)  # fmt: skip
        self.statuses = []

    def _greet(self, _, start_response):
        start_response("200 OK", [])
        return [b"hello"]

    async def _agreet(self, _scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

    def ask(self, address, identity, **fields):
        if self.kind is Wsgi:
            environ = {"REMOTE_ADDR": address, "QUERY_STRING": f"id={identity}", "REQUEST_METHOD": "GET",
                       "PATH_INFO": "/"} | {f"HTTP_{name.upper()}": text for name, text in fields.items()}  # fmt: skip
            self.app(environ, lambda status, *_: self.statuses.append(int(status[:3])))
        else:
            headers = [(name.lower().replace("_", "-").encode(), text.encode()) for name, text in fields.items()]  # fmt: skip
            scope = {"type": "http", "method": "GET", "path": "/", "raw_path": b"/", "headers": headers,
                     "query_string": f"id={identity}".encode(), "client": [address, 1] if address else None}  # fmt: skip

            async def send(message):
                if "status" in message:
                    self.statuses.append(message["status"])

            call = self.app(scope, None, send)
            with pytest.raises(StopIteration):
                call.send(None)
        return self.statuses[-1]

    def flood(self, address, count, **fields):
        """The number of invented identities that got a place."""
        return sum(self.ask(address, f"{address}-{n}", **fields) == 200 for n in range(count))

    def fresh(self, count=60):
        """The statuses of new clients, each from an address of its own."""
        return {self.ask(f"198.51.{n // 250}.{n % 250}", f"honest-{n}") for n in range(count)}

    def refused(self):
        return self.limiter.stats().counts[Count.FLOOD]


@pytest.fixture(params=[Wsgi, AsgiRateLimitMiddleware], ids=["wsgi", "asgi"])
def kind(request):
    return request.param


@pytest.mark.parametrize("clock", [ManualClock(10**12), None], ids=["plain", "native"])
def test_one_address_cannot_lock_others_out(kind, clock):
    capacity, slots = LARGE
    server = Server(kind, clock=clock, capacity=capacity)
    placed = server.flood("203.0.113.7", 2 * capacity)
    assert 0.5 * slots < placed < 0.7 * slots
    assert server.fresh() == {200}
    assert server.refused() == 2 * capacity - placed
    assert server.limiter.stats().counts[Count.FULL] == server.refused()


def test_without_the_defence_the_same_flood_locks_all_out(kind):
    server = Server(kind, flood_exempt="all")
    server.flood("203.0.113.7", 4 * CAPACITY)
    late = [server.ask(f"198.51.0.{n}", f"honest-{n}") for n in range(60)]
    assert late.count(503) > 40  # some find the last places
    assert server.refused() == 0


def test_keys_that_have_a_place_are_served_as_ever(kind):
    server = Server(kind)
    server.flood("203.0.113.7", 2 * CAPACITY)
    known = ["203.0.113.7-0", "203.0.113.7-100"]
    assert [server.ask("203.0.113.7", key) for key in known for _ in range(5)] == (
        [200] * 4 + [429]
    ) * 2
    assert server.ask("203.0.113.7", "new") == 503


def test_nothing_is_refused_while_less_than_half_is_held(kind):
    server = Server(kind)
    assert server.flood("203.0.113.7", SLOTS // 2) == SLOTS // 2


def test_places_that_bind_no_more_are_given_again():
    clock = ManualClock(10**12)
    server = Server(clock=clock, policy="5 per 10s")
    server.flood("203.0.113.7", 2 * CAPACITY)
    assert server.ask("203.0.113.7", "new") == 503
    clock.advance(11 * 10**9)
    server.app._room._stale_ns = 0  # a second later
    assert server.flood("203.0.113.7", SLOTS // 2) == SLOTS // 2


@pytest.mark.parametrize(
    "policy", ["token-bucket 10000 per 1d; 10 per 1m", "10 per 1m; 1000 per 1s"]
)
def test_of_several_quotas_the_one_that_one_admission_binds_for_longest_counts(policy):
    """A bucket that fills in a day has the token of one admission back after 9 seconds."""
    clock = ManualClock(10**12)
    server = Server(clock=clock, policy=policy)
    for number in range(10 * CAPACITY):
        clock.advance(10**9 // 30)
        server.ask("203.0.113.7", number)
        server.app._room._stale_ns = 0  # a second later
    assert server.refused() > CAPACITY
    assert server.fresh() == {200}


@pytest.mark.parametrize("clock", [ManualClock(10**12), None], ids=["plain", "native"])
def test_what_addresses_took_is_kept_in_no_table_of_the_policy(clock):
    """A thousandth of 1,752 places is 1."""
    server = Server(clock=clock, policy="token-bucket 1 per 100s", capacity=LARGE[0])
    assert [server.ask(f"198.51.100.{n}", n) for n in range(50)] == [200] * 50
    assert list(server.limiter.stats().tables.values()) == [(50, LARGE[1])]


def test_addresses_of_one_ipv6_site_share(kind):
    server = Server(kind)
    for n in range(4 * CAPACITY):
        server.ask(f"2001:db8::{n:x}", f"id-{n}")
    assert server.refused() > CAPACITY
    assert server.ask("2001:db8::ffff", "new") == 503
    assert server.ask("2001:db8:0:1::ffff", "new") == 200


@pytest.mark.parametrize("address", ["", "unix:", "203.0.113.7"])
def test_no_address_a_unix_socket_and_who_is_listed_are_exempt(kind, address):
    server = Server(kind, flood_exempt=["203.0.113.0/24", "2001:db8::/32"])
    server.flood(address, 4 * CAPACITY)
    assert server.refused() == 0


def test_who_is_exempt_from_the_limit_takes_no_place_and_needs_none(kind):
    server = Server(kind, exempt=lambda key: b"vip" in key)
    server.flood("203.0.113.7", 2 * CAPACITY)
    assert server.ask("203.0.113.7", "new") == 503
    assert [server.ask("203.0.113.7", f"vip-{n}") for n in range(50)] == [200] * 50


def test_behind_trusted_hops_the_client_is_who_counts(kind):
    server = Server(kind, address=ClientAddress(proxies=1))
    for n in range(4 * CAPACITY):
        server.ask("10.0.0.1", f"id-{n}", X_FORWARDED_FOR="198.51.100.9, 203.0.113.7")
    assert server.ask("10.0.0.1", "new", X_FORWARDED_FOR="203.0.113.7") == 503
    assert server.ask("10.0.0.1", "new", X_FORWARDED_FOR="203.0.113.8") == 200


def test_the_first_refusal_behind_an_unknown_proxy_says_so(kind, caplog):
    server = Server(kind)
    server.flood("10.0.0.1", 4 * CAPACITY, X_FORWARDED_FOR="203.0.113.7")
    (said,) = caplog.messages
    assert "10.0.0.1 seems to be a proxy that is not configured" in said


@pytest.mark.parametrize(
    ("options", "status"), [({"on_full": "admit"}, 200), ({"shadow": True}, 200)]
)
def test_a_refusal_is_decided_as_a_full_table_is(options, status):
    server = Server(**options)
    server.flood("203.0.113.7", 2 * CAPACITY)
    live = server.limiter.stats().tables
    assert {server.ask("203.0.113.7", f"new-{n}") for n in range(50)} == {status}
    assert server.refused() >= 50
    assert server.limiter.stats().tables == live


def test_processes_of_one_store_know_together_what_an_address_took(tmp_path):
    del tmp_path
    store = f"shm://room-{os.getpid()}"
    try:
        with get_context("fork").Pool(2) as pool:
            placed = sum(pool.starmap(_flood, [(store, part) for part in range(2)]))
        late = Server(store=store, clock=None)
        assert late.flood("203.0.113.7", 10) < 10
        assert late.fresh() == {200}
        assert placed < 0.8 * SLOTS
    finally:
        from rateproof.enforce.stores import remove

        remove(store.removeprefix("shm://"))


def _flood(store, part):
    server = Server(store=store, clock=None)
    return sum(server.ask("203.0.113.7", f"{part}-{n}") == 200 for n in range(2 * CAPACITY))


def test_threads_that_flood_at_once_are_refused_all():
    server = Server(clock=None)
    with ThreadPoolExecutor(4) as pool:
        placed = sum(pool.map(lambda n: server.ask("203.0.113.7", n) == 200, range(4 * CAPACITY)))
    assert placed < 0.8 * SLOTS


@pytest.mark.parametrize("told", ["10.0.0.0/99", ["any"], ["all", "10.0.0.0/33"], 5, [5]])
def test_what_is_no_network_is_refused(told):
    with pytest.raises(InvalidArgument, match="flood_exempt"):
        Server(flood_exempt=told)


def test_shares_that_cannot_be_counted_cost_nobody_an_answer(monkeypatch, caplog):
    def fail(*_):
        raise StoreError("gone")

    server = Server()
    monkeypatch.setattr(Room, "take", fail)
    monkeypatch.setattr(Room, "wait_ns", fail)
    assert [server.ask("203.0.113.7", n) for n in range(CAPACITY)] == [200] * CAPACITY
    assert [one.getMessage() for one in caplog.records] == [
        "what an address takes of the places cannot be counted: gone"
    ]


@pytest.mark.parametrize("clock", [ManualClock(10**12), None], ids=["plain", "native"])
@pytest.mark.parametrize("options", [{"shadow": True}, {"on_full": "admit"}], ids=str)
def test_only_what_the_policy_admits_takes_a_place(options, clock, monkeypatch):
    """With a burst of 1 nothing remains of a key that is known, or of a table that is full."""
    takes = []
    monkeypatch.setattr(Room, "take", lambda _, address: takes.append(address))
    server = Server(policy="1 per 1h", capacity=1, clock=clock, **options)
    seen = [server.ask("192.0.2.1", identity) for identity in "aaa"]
    seen += [server.ask("192.0.2.1", str(number)) for number in range(50)]
    live, _ = next(iter(server.limiter.stats().tables.values()))
    assert len(takes) == live < 40
    assert seen[1] == (200 if "shadow" in options else 429)
