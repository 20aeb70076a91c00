"""The decision service over RESP: redis-py as it is, redis-cell's answers, and whatever else comes."""

import random
import resource
import socket
import threading
import time
from contextlib import ExitStack

import pytest
import redis

from rateproof import Limiter
from rateproof.enforce.algorithms import RULES
from rateproof.units import SECOND_NS
from tests.samples import samples
from tests.service import LIMITS

RESP = ("--resp", "127.0.0.1:0")


def raw(port, data):
    """All that comes back for these bytes until the connection is closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        found = b""
        while more := sock.recv(65_536):
            found += more
    return found


def left(client, key="a", limit="api"):
    return client.execute_command("RP.PEEK", key, limit)[2]


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_works_as_it_is(start_service, protocol):
    service = start_service(LIMITS, *RESP)
    with service.resp(protocol=protocol, client_name="shop") as client:
        assert client.ping()
        assert client.client_getname() == "shop"
        assert client.info()["redis_mode"] == "standalone"
        assert set(client.command()) >= {"cl.throttle", "rp.hit", "rp.peek", "rp.reset"}
        told = [client.execute_command("CL.THROTTLE", "user", 4, 5, 3600) for _ in range(6)]
        assert [each[:3] for each in told] == [
            *([0, 5, left] for left in (4, 3, 2, 1, 0)),
            [1, 5, 0],
        ]
        assert [each[3] for each in told[:5]] == [-1] * 5
        assert 700 < told[5][3] <= 720
        assert 3000 < told[5][4] <= 3600
        with client.pipeline(transaction=False) as pipe:
            for _ in range(7):
                pipe.execute_command("RP.HIT", "a", "api")
            found = pipe.execute()
        assert [each[:3] for each in found] == [
            *([0, 5, left] for left in (4, 3, 2, 1, 0)),
            *([1, 5, 0],) * 2,
        ]
        assert found[0][3] == -1
        assert 3_000_000 < found[6][3] <= 3_600_000
        assert client.execute_command("RP.PEEK", "a", "api", 2)[0] == 1
        assert client.execute_command("RP.RESET", "a", "api") == "OK"
        assert client.execute_command("RP.PEEK", "a", "api") == [0, 5, 5, -1, 0]
        assert client.execute_command("RP.HIT", "a", "7 per hour", 3)[:3] == [0, 7, 4]


def test_what_cannot_be_decided_is_an_error_and_admits_nothing(start_service):
    service = start_service(LIMITS, *RESP)
    with service.resp() as client:
        for words, error in [
            (("RP.HIT", "a", "api", 6), "cost is 6, the limit is 5"),
            (("RP.HIT", "a", "api", 0), "cost is 0"),
            (("RP.HIT", "a", "api", -1), "must be positive: cost is '-1'"),
            (("RP.HIT", "a", "api", "1.5"), "not an integer or out of range: cost is '1.5'"),
            (("RP.HIT", "a", "nothing"), r"no limit of that name \(one of api\)"),
            (("RP.HIT", "a", "9" * 20 + " per 5s"), f"'{'9' * 20}' is too large"),
            (("RP.HIT", "a", "5 per fortnight"), "'fortnight' is not a unit of time"),
            (("RP.HIT", b"a", b"\xff"), r"'\\xff' is not UTF-8"),
            (("RP.HIT", "a"), "wrong number of arguments for 'rp.hit' command"),
            (
                ("RP.HIT", "a", "5 per 5s" + " " * 4096),
                r"the policy has 4104 bytes \(at most 4096\): '5 p",
            ),
            (("RP.HIT", "k" * 4097, "api"), r"the key has 4097 bytes \(at most 4096\): 'kkk"),
            (("CL.THROTTLE", "a", 4, 0, 5), "Zero rates are not supported: count is 0"),
            (("CL.THROTTLE", "a", 4, 5, 0), "Zero rates are not supported: .*period is 0"),
            (("CL.THROTTLE", "a", -1, 5, 5), "must be positive: max_burst is '-1'"),
            (("CL.THROTTLE", "a", 4, 5, 5, -1), "must be positive: quantity is '-1'"),
            (("CL.THROTTLE", "a", 4, 5, 5, "9" * 20), f"out of range: quantity is '{'9' * 20}'"),
            (("CL.THROTTLE", "a", 4, 2_000_000, 1), "more than one a microsecond"),
            (("CL.THROTTLE", "a", 4, 1, 2**63 - 1), f"window.* KEY 4 1 {2**63 - 1}$"),
            (("CL.THROTTLE", "a", 4, 5, 5, 1, 1), "wrong number of arguments"),
            (("SELECT", 1), "DB index is out of range"),
        ]:
            with pytest.raises(redis.ResponseError, match=error):
                client.execute_command(*words)
        assert client.execute_command("CL.THROTTLE", "a", 4, 5, 5, 6)[:4] == [1, 5, 5, -1]
        assert client.execute_command("CL.THROTTLE", "a", 4, 5, 5, 0) == [0, 5, 5, -1, 0]
        assert left(client) == 5


MALFORMED = [
    b"*x\r\nRP.HIT a api\r\n",
    b"*-\r\n",
    b"*99999999999999999999\r\n",
    b"*3\r\n*1\r\n$6\r\nRP.HIT\r\n$1\r\na\r\n$3\r\napi\r\n",
    b"*1\r\n:1\r\n",
    b"*3\r\n$6\r\nRP.HIT\r\n$-1\r\n$3\r\napi\r\n",
    b"*3\r\n$6\r\nRP.HIT\r\n$99999999999999999999\r\n",
    b'RP.HIT "a api\r\n',
]
ASKED = [
    b"PING\r\n",
    b"ping 'a b'\r\n",
    b"*0\r\n*-1\r\n\r\nPING\r\n",
    b"*2\r\n$4\r\nECHO\r\n$3\r\n\0\r\n\r\n",
    b"NOTHING\r\nNOTHING a 'b c'\r\n",
    b"PING a b\r\nECHO\r\nSELECT x\r\nSELECT 99\r\nSELECT 0\r\n",
    b"HELLO 4\r\nHELLO x\r\nHELLO 3 NOTHING\r\nHELLO 2 AUTH nobody x\r\nAUTH x\r\nAUTH nobody x\r\n",
    b"CLIENT SETNAME 'a b'\r\nCLIENT SETNAME ab\r\nCLIENT GETNAME\r\nCLIENT SETINFO LIB-NAME x\r\n",
    b"PING\r\nQUIT\r\nPING\r\n",
]


def test_answers_and_errors_are_those_of_redis(start_service, valkey):
    """The same bytes to a real server: the same lines come back, and the same connections end.

    Behind the words of an error stands what was wrong.
    """
    service = start_service(LIMITS, *RESP)
    for data in [*MALFORMED, *ASKED]:
        theirs = raw(valkey.port, data + b"PING\r\n")
        ours = raw(service.resp_port, data + b"PING\r\n")
        pairs = zip(ours.split(b"\r\n"), theirs.split(b"\r\n"), strict=True)
        for our, their in pairs:
            assert our == their or (their[:1] == b"-" and our.startswith(their + b": '")), data[:60]
    with service.resp() as client:
        assert left(client) == 5
        with pytest.raises(redis.ResponseError) as error:
            client.execute_command("RP.HIT", "a", "x" * 60_000)
        assert len(str(error.value)) < 1_200


def test_what_is_larger_than_a_command_is_refused_and_nothing_is_kept_of_it(start_service):
    service = start_service(LIMITS, *RESP)
    hit = b"RP.HIT a api\r\n"
    for data in [
        b"*" + b"1" * 70_000,
        b"*1\r\n$" + b"1" * 70_000,
        b"a" * 70_000,
        b"*1025\r\n" + b"$1\r\na\r\n" * 1025,
        b"*2\r\n$4\r\nPING\r\n$65536\r\n" + b"a" * 65_536 + b"\r\n",
        b"*1000\r\n" + (b"$100\r\n" + b"a" * 100 + b"\r\n") * 1000,
        b"*1\r\n$4\r\nPINGRP.HIT a api\r\n",
        b"RP.HIT a api\0\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\n\r\n",
    ]:
        found = raw(service.resp_port, data + hit)
        assert found.startswith(b"-ERR "), data[:60]
        assert b"\n:" not in found, data[:60]
    with service.resp() as client:
        assert left(client) == 5
    # Answers that nobody reads are no reason to keep more of them.
    with socket.create_connection(("127.0.0.1", service.resp_port), timeout=60) as sock:
        reader = sock.makefile("rb")
        sock.settimeout(60)
        writer = threading.Thread(target=sock.sendall, args=(b"COMMAND LIST\r\n" * 50_000,))
        writer.start()
        for _ in range(50_000):
            assert reader.readline() == b"*14\r\n"
            for _ in range(28):
                reader.readline()
        writer.join(60)


def test_a_command_that_comes_byte_by_byte_is_a_command(start_service):
    service = start_service(LIMITS, *RESP)
    with socket.create_connection(("127.0.0.1", service.resp_port), timeout=60) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"*3\r\n$6\r\nrp.hit\r\n$1\r\na\r\n$3\r\napi\r\n":
            sock.sendall(bytes([byte]))
        assert sock.makefile("rb").read(16) == b"*5\r\n:0\r\n:5\r\n:4\r\n"


def test_policies_told_as_text_open_so_many_tables_and_known_ones_go_on(start_service):
    service = start_service(LIMITS, *RESP, "--resp-tables", "2")
    with service.resp() as client:
        hit = client.execute_command
        assert hit("RP.HIT", "a", "1 per hour")[0] == 0
        assert hit("CL.THROTTLE", "a", 0, 1, 3600)[0] == 0
        with pytest.raises(redis.ResponseError, match="no limit of that name"):
            hit("RP.HIT", "a", "0 1 3600")
        for _ in range(2):
            with pytest.raises(redis.ResponseError, match=r"2 tables are open .* at most 2"):
                hit("RP.HIT", "a", "2 per hour")
        with pytest.raises(redis.ResponseError, match="at most 2"):
            hit("CL.THROTTLE", "a", 5, 1, 3600)
        assert hit("RP.HIT", "a", "1 per hour")[0] == 1
        assert hit("RP.HIT", "a", "1/hour; token-bucket 1 per hour")[0] == 1
        assert hit("CL.THROTTLE", "a", 0, 1, 3600)[0] == 1
        # That of a limit is not one of them, nor is one more way to write a known policy.
        assert hit("RP.HIT", "a", "5 per hour")[0] == 0
        for number in range(1100):
            assert hit("RP.PEEK", "a", f"1 per{' ' * (1 + number)}hour")[0] == 1
        assert "read again" in service.reload(LIMITS + '\n[limits.b]\npolicy = "9 per hour"\n')
        assert hit("RP.HIT", "a", "b")[:3] == [0, 9, 8]
        assert hit("RP.HIT", "a", "1 per hour")[0] == 1


def test_a_policy_told_as_text_opens_no_large_table(start_service):
    """While one is made, no event loop decides."""
    service = start_service(LIMITS + '[limits.b]\npolicy = "2500 per hour"\n', *RESP)
    with service.resp() as client:
        hit = client.execute_command
        with pytest.raises(redis.ResponseError, match=r"table of 2\.3 GB: .* at most 64 MB"):
            hit("RP.HIT", "a", "5 per hour; 2501 per hour")
        assert hit("RP.HIT", "a", "sliding-blocks 2501 per hour")[0] == 0
        assert hit("RP.HIT", "a", "b")[0] == 0
        assert hit("RP.HIT", "a", "2500 per hour")[2] == 2498
        assert hit("CL.THROTTLE", "a", 10**6, 10**6, 3600)[0] == 0
    # A bucket is the smallest table of a capacity.
    service = start_service(LIMITS, *RESP, "--capacity", str(2**22))
    with service.resp() as client:
        assert client.execute_command("CL.THROTTLE", "a", 5, 1, 60)[0] == 0
        with pytest.raises(redis.ResponseError, match="at most 118 MB"):
            client.execute_command("RP.HIT", "a", "6 per hour")


def test_a_thousand_connections_are_admitted_five_times_together(start_service):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    try:
        service = start_service(LIMITS, *RESP)
        with ExitStack() as stack:
            address = ("127.0.0.1", service.resp_port)
            socks = [
                stack.enter_context(socket.create_connection(address, timeout=60))
                for _ in range(1000)
            ]
            for sock in socks:
                sock.sendall(b"RP.HIT a api\r\n" * 2)
            answers = [read_lines(sock, 12) for sock in socks]
        limited = [lines[at] for lines in answers for at in (1, 7)]
        assert limited.count(b":0") == 5
        assert limited.count(b":1") == 1995
        with service.resp() as client:
            assert left(client) == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def read_lines(sock, count):
    found = b""
    while found.count(b"\r\n") < count:
        found += sock.recv(4096)
    return found.split(b"\r\n")


class CellWithin:
    """The reference: redis-cell's rate, where each call happened at some time of an interval.

    `least` and `most` enclose the theoretical arrival time, as of redis-cell, of the key.
    """

    def __init__(self, burst, count, period):
        self.limit = burst + 1
        self.token_ns = -(-period * SECOND_NS // count)
        self.tolerance_ns = self.limit * self.token_ns
        self.least = self.most = 0

    def accepts(self, begun, ended, quantity, answer):
        """True if some time within the interval gives this answer; narrows what is known."""
        limited, limit, remaining, retry, reset = answer
        taken_ns = quantity * self.token_ns
        early, late = max(begun, self.least), max(ended, self.most)
        if limited:
            if quantity > self.limit:
                right = retry == -1
            else:
                # Denied at the begin if ever: later there is more room.
                waits = [
                    max(each, at) + taken_ns - self.tolerance_ns - at
                    for each, at in ((self.least, ended), (self.most, begun))
                ]
                right = waits[1] > 0 and within(retry, max(waits[0], 0), waits[1], least=1)
            spent = [max(self.least - ended, 0), max(self.most - begun, 0)]
        else:
            right = retry == -1 and early + taken_ns - self.tolerance_ns <= ended
            early, late = (
                early + taken_ns,
                min(late, ended + self.tolerance_ns - taken_ns) + taken_ns,
            )
            spent = [max(early - ended, 0), min(late - begun, self.tolerance_ns)]
            if quantity:
                self.least, self.most = early, late
        rooms = [(self.tolerance_ns - each) // self.token_ns for each in spent]
        return (
            right
            and limit == self.limit
            and rooms[1] <= remaining <= rooms[0]
            and within(reset, *spent)
        )


def within(seconds, shortest_ns, longest_ns, least=0):
    """Seconds as redis-cell rounds them: up, from a thousandth on."""
    low, high = (
        max(least, -(-(each - 1_000_000) // SECOND_NS)) for each in (shortest_ns, longest_ns)
    )
    return low <= seconds <= high + 1


def test_throttle_is_the_reference_rate_at_some_time_within_each_call(start_service):
    rng = random.Random(5)
    service = start_service(LIMITS, *RESP)
    with service.resp() as client:
        outcomes = []
        for number in range(samples(6)):
            burst, count, period = (
                rng.choice([0, 1, 4, 30]),
                rng.choice([1, 7, 90, 800]),
                rng.choice([1, 3]),
            )
            cell = CellWithin(burst, count, period)
            for _ in range(60):
                quantity = rng.choice([0, 1, 1, 1, 2, burst + 1, burst + 2])
                begun = time.monotonic_ns()
                answer = client.execute_command(
                    "CL.THROTTLE", f"k{number}", burst, count, period, quantity
                )
                ended = time.monotonic_ns()
                assert cell.accepts(begun, ended, quantity, answer), (cell.__dict__, answer)
                outcomes.append(answer[0])
                time.sleep(rng.choice([0, 0, 0, 0.001, 0.01]))
        assert {*outcomes} == {0, 1}


@pytest.mark.parametrize("protocol", [2, 3])
def test_hits_are_those_of_python_on_the_store(start_service, store, protocol):
    """In turns with a Python limiter on the tables: as one limiter that has all calls."""
    rng = random.Random(protocol)
    service = start_service(LIMITS, *RESP, "--store", store)
    policies = [f"{name} 7 per 1000 days" for name in RULES]
    policies += ["5 per 500 days; token-bucket 9 per 1000 days burst 6"]
    with service.resp(protocol=protocol) as client:
        for policy in policies:
            with (
                Limiter(policy, store=store) as shared,
                Limiter(policy, store="memory://") as alone,
            ):
                for _ in range(samples(20)):
                    key, cost = rng.choice("abc"), rng.choice([1, 1, 1, 2, 4])
                    expected = alone.hit(key, cost=cost)
                    if rng.random() < 0.5:
                        found = shared.hit(key, cost=cost)
                        assert found.admitted == expected.admitted
                        continue
                    limited, limit, remaining, retry, reset = client.execute_command(
                        "RP.HIT", key, policy, cost
                    )
                    assert limited == (not expected.admitted)
                    assert remaining == expected.remaining
                    assert limit == min(quota.burst for quota in alone.policy.quotas)
                    assert (retry == -1) == expected.admitted
                    assert reset > 0
                    if rng.random() < 0.1:
                        client.execute_command("RP.RESET", key, policy)
                        alone.reset(key)
