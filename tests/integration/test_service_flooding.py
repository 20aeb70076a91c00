"""Invented keys behind trusted hops, and the counters of a store: the service beside Python's limiters on it."""

import random

import pytest
import redis

from rateproof import Limiter
from rateproof.enforce.counters import Count
from rateproof.enforce.http import check_flood_exempt
from rateproof.errors import InvalidArgument
from tests.service import LIMITS

CAPACITY = 64  # 112 places, of which an address has one share: one place
WORDS = ("--capacity", str(CAPACITY), "--proxies", "1")


def flood(service, address, count):
    """The statuses of so many invented keys that a hop says come from an address."""
    return [
        service.ask(X_Api_Key=f"{address}-{n}", X_Forwarded_For=address)[0] for n in range(count)
    ]


@pytest.mark.parametrize(
    "policy",
    [
        "5 per hour",
        "token-bucket 5 per hour burst 9; sliding-blocks 7 per day",
        "sliding-counter 5 per hour",
    ],
)
def test_an_address_that_has_its_share_gets_no_more_for_new_keys(start_service, store, policy):
    text = LIMITS.replace("5 per hour", policy)
    service = start_service(text, "--store", store, *WORDS)
    admitted = flood(service, "6.6.6.6", 80).count(200)
    assert 50 < admitted < 70, "until more than half of 112 places are held"
    status, fields, body = service.ask(X_Api_Key="more", X_Forwarded_For="6.6.6.6")
    assert status == 503
    assert b"no room for another client" in body
    assert int(fields["retry-after"]) > 60
    # Keys that have a place, other addresses, and whoever no hop tells an address of.
    assert service.ask(X_Api_Key="6.6.6.6-0", X_Forwarded_For="6.6.6.6")[0] == 200
    assert service.ask(X_Api_Key="b", X_Forwarded_For="7.7.7.7")[0] == 200
    assert service.ask(X_Api_Key="c", X_Forwarded_For="7.7.7.7")[0] == 503
    assert [service.ask(X_Api_Key=f"none-{n}")[0] for n in range(3)] == [200] * 3
    # Whoever has one address of a /64 has them all.
    assert flood(service, "2001:db8::1", 1) == [200]
    assert flood(service, "2001:db8::2", 1) == [503]
    with Limiter(policy, store=store, capacity=CAPACITY) as limiter:
        counts = limiter.stats().counts
        assert counts[Count.FLOOD] == counts[Count.FULL] == 80 - admitted + 3
        assert counts[Count.DENIED] == counts[Count.FULL]
        # Python applications on the store see the same shares.
        room = limiter.room(limiter.policy)
        room.take(b"9.9.9.9")
        taken = (b"6.6.6.6", b"7.7.7.7", b"2001:db8::/64", b"9.9.9.9")
        assert all(room.wait_ns(address) for address in taken)
        assert room.wait_ns(b"8.8.8.8") is None


def test_the_defence_is_for_trusted_hops_and_spares_whom_it_is_told_to(start_service):
    service = start_service(LIMITS, *WORDS, "--flood-exempt", "6.6.6.0/24,2001:db8::/32")
    assert flood(service, "6.6.6.6", 80).count(200) > 75, "until a place cannot be found"
    assert flood(service, "2001:db8::1", 2) == [200] * 2
    assert flood(service, "7.7.7.7", 2) == [200, 503]
    for words in (("--flood-exempt", "all"), ("--proxies", "0")):
        service = start_service(LIMITS, *WORDS, *words)
        assert flood(service, "7.7.7.7", 80).count(200) > 75


@pytest.mark.parametrize(
    "text", ["", "10.0.0.0/8", "10.0.0.1/8", "10.0.0.0/33", "::/0", "all", "10.0.0.0/8, all",
             "::ffff:10.0.0.0/104", "2001:db8::1/32", "10.0.0", "a", "10.0.0.0/-1", "1.2.3.4,::1"],
)  # fmt: skip
def test_networks_are_read_as_python_reads_them(start_service, text):
    try:
        check_flood_exempt([each.strip() for each in text.split(",") if each])
    except InvalidArgument:
        with pytest.raises(AssertionError, match="flood_exempt"):
            start_service(LIMITS, "--flood-exempt", text)
    else:
        start_service(LIMITS, "--flood-exempt", text)


@pytest.mark.parametrize("shadow", [False, True])
def test_decisions_are_counted_with_those_of_python_on_the_store(start_service, store, shadow):
    """In the same words: as one limiter that has all calls counts them."""
    rng = random.Random(1)
    text = (
        f'[limits.api]\npolicy = "9 per hour; 11 per day"\nkey = "header:X-Id"\nshadow = {shadow}\n'
    )
    words = ("--store", store, "--capacity", "8", "--resp", "127.0.0.1:0")
    service = start_service(text.lower(), *words)
    with (
        Limiter("9 per hour; 11 per day", store=store, capacity=8, shadow=shadow) as shared,
        Limiter("9 per hour; 11 per day", capacity=8, shadow=shadow) as alone,
    ):
        for _ in range(150):
            name = rng.choice("abc")
            key = f"header:x-id=1:{name}".encode()
            alone.hit(key)
            if rng.random() < 0.5:
                shared.hit(key)
            else:
                service.ask(X_Id=name)
        assert shared.stats().counts == alone.stats().counts
        # Those for lack of room, whose number is luck: a table may have it or not.
        statuses = [service.ask(X_Id=f"new-{n}")[0] for n in range(60)]
        counts = shared.stats().counts
        assert counts[Count.FULL] > 0
        assert shadow or statuses.count(503) == counts[Count.FULL]
        assert not shadow or statuses == [200] * 60
        assert sum(counts[each] for each in (Count.ADMITTED, Count.DENIED)) == 210
    with service.resp() as client:
        told = (
            [client.execute_command("RP.HIT", f"more-{n}", "api")[0] for n in range(60)]
            if shadow
            else []
        )
    assert set(told) <= {0}, "it lets everything pass, room or not"


def test_commands_are_counted_for_all_who_share_the_store(start_service, store):
    service = start_service(LIMITS, "--store", store, "--resp", "127.0.0.1:0")
    with service.resp() as client:
        for _ in range(7):
            client.execute_command("RP.HIT", "a", "api")
        for _ in range(3):
            client.execute_command("CL.THROTTLE", "a", 0, 1, 3600)
        client.execute_command("RP.PEEK", "a", "api")
        # A cost that can never pass is the client's mistake, and no decision.
        for cost in (0, 6):
            with pytest.raises(redis.ResponseError, match="cost is"):
                client.execute_command("RP.HIT", "a", "api", cost)
    assert b'{limit="api",outcome="error"} 0' in service.ask("/metrics")[2]
    with Limiter("5 per hour", store=store) as limiter:
        counts = limiter.stats().counts
    assert (counts[Count.ADMITTED], counts[Count.DENIED]) == (6, 4)
    assert counts[Count.NEAR_LIMIT] == 2
    assert counts[Count.ERROR] == 0
