"""A real Cluster of three nodes: keys spread over it, slots that move, nodes that fail."""

import asyncio
import signal
import time
from contextlib import ExitStack

import pytest

from rateproof.enforce.limiter import Limiter
from rateproof.enforce.stores.redis.command import digest_of
from rateproof.enforce.stores.redis.outages import FAILURES, REST_NS
from rateproof.errors import StoreError
from tests.nginx import running

NATIVE = "native core, granian"
TIMEOUT_S = 0.2


class Nodes:
    """Three primaries with a third of the slots each; the first can have a replica."""

    def __init__(self, start_valkey, unused_port, patience_ms=30_000):
        self._patience_ms = patience_ms
        self._start_valkey = start_valkey
        self._unused_port = unused_port
        self.all = [self.start() for _ in range(3)]
        for number, node in enumerate(self.all):
            first, last = number * 16_384 // 3, (number + 1) * 16_384 // 3 - 1
            node.client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
            self.meet(node, self.all[:number])
        self.wait_for_acquaintance(self.all)
        self.wait_for({"cluster_state": "ok", "cluster_slots_ok": "16384"})
        places = ",".join(f"127.0.0.1:{node.port}" for node in self.all)
        self.url = f"redis+cluster://{places}"
        self.store = f"{self.url}?timeout=5s"  # a busy machine is no outage

    def start(self):
        node = self._start_valkey(
            "--cluster-enabled", "yes",
            "--cluster-port", str(self._unused_port()),
            "--cluster-node-timeout", str(self._patience_ms),
            "--cluster-require-full-coverage", "no",
            "--repl-diskless-sync-delay", "0",
        )  # fmt: skip
        node.id = node.client.execute_command("CLUSTER MYID").decode()
        return node

    def meet(self, node, others):
        """Introduce it to each: of whom they know they tell one another seconds later."""
        bus = node.client.config_get("cluster-port")["cluster-port"]
        for other in others:
            other.client.execute_command("CLUSTER MEET", "127.0.0.1", node.port, bus)

    def wait_for_acquaintance(self, nodes):
        """Until each knows all by their names: one met just now is counted under another."""
        deadline = time.monotonic() + 60
        names = {node.id for node in nodes}
        for node in nodes:
            while not names <= {
                known["node_id"] for known in node.client.execute_command("CLUSTER NODES").values()
            }:
                assert time.monotonic() < deadline, f"{node.id} does not know all of {names}"
                time.sleep(0.05)

    def wait_for(self, wanted):
        deadline = time.monotonic() + 60
        for node in self.all:
            while not wanted.items() <= node.client.execute_command("CLUSTER INFO").items():
                assert time.monotonic() < deadline, f"{node.id} does not become {wanted}"
                time.sleep(0.05)

    def slot_of(self, key):
        digest = digest_of(key.encode())
        return self.all[0].client.execute_command("CLUSTER KEYSLOT", b"{%b}" % digest)

    def owner_of(self, key):
        return self.all[self.slot_of(key) * 3 // 16_384]

    def move_of(self, key):
        """The key's slot, its node, and another."""
        source = self.owner_of(key)
        return self.slot_of(key), source, next(node for node in self.all if node is not source)

    def begin_to_move(self, key):
        slot, source, target = self.move_of(key)
        target.client.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", source.id)
        source.client.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", target.id)


@pytest.fixture
def nodes(request, start_valkey, unused_port):
    """A node that is late is taken for a dead one only where a replica is to take its place."""
    impatient = {"patience_ms": 1_000} if "replica" in request.fixturenames else {}
    return Nodes(start_valkey, unused_port, **impatient)


def test_keys_spread_over_the_nodes_and_each_keeps_its_limit(nodes):
    async def ask(limiter):
        return [[(await limiter.ahit(f"a{n}")).admitted for _ in range(3)] for n in range(20)]

    with Limiter("2 per hour; 3 per day", store=nodes.store) as limiter:
        for number in range(40):
            key = "}x" * number
            assert [limiter.hit(key).admitted for _ in range(3)] == [True, True, False]
        assert asyncio.run(ask(limiter)) == [[True, True, False]] * 20
        assert [node.client.dbsize() for node in nodes.all] == [
            2 * sum(nodes.owner_of(key) is node for key in keys()) for node in nodes.all
        ]
        limiter.reset("}x")
        assert limiter.hit("}x").remaining == 1
        limiter._plan.ledger.clear()
        assert not any(node.client.dbsize() for node in nodes.all)
        assert limiter.hit("a0").remaining == 1


def keys():
    return ["}x" * number for number in range(40)] + [f"a{number}" for number in range(20)]


def test_a_slot_that_moves_takes_its_admissions_along(nodes):
    """Asked before, during and after the move, and when only the client does not know yet."""
    key = "wanderer"
    slot, source, target = nodes.move_of(key)
    with Limiter("10 per hour", store=nodes.store) as limiter:

        async def ask():
            return (await limiter.ahit(key)).remaining

        def left():
            return [limiter.hit(key).remaining, asyncio.run(ask())]

        assert left() == [9, 8]
        nodes.begin_to_move(key)
        assert left() == [7, 6]
        (kept,) = source.client.execute_command("CLUSTER GETKEYSINSLOT", slot, 10)
        source.client.execute_command(
            "MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", kept
        )
        assert left() == [5, 4]
        for node in (target, source):
            node.client.execute_command("CLUSTER SETSLOT", slot, "NODE", target.id)
        assert left() == [3, 2]
        assert source.client.dbsize() == 0


def test_a_key_of_several_quotas_that_begins_while_its_slot_moves_is_an_outage(nodes):
    """The node that it moves to takes no new keys but one at a time."""
    nodes.begin_to_move("a")
    with Limiter("5 per hour; 6 per day", store=nodes.store) as limiter:
        assert limiter.hit("a").reason == "error"
        assert asyncio.run(limiter.ahit("a")).reason == "error"
        assert limiter.hit("b").reason == "quota"
        assert limiter.hit("a", policy="5 per hour").reason == "quota"


@pytest.mark.alone
def test_a_hung_node_leaves_the_keys_of_the_others_alone(nodes):
    hung = nodes.all[0]
    lost = [f"k{n}" for n in range(200) if nodes.owner_of(f"k{n}") is hung]
    served = [f"k{n}" for n in range(200) if nodes.owner_of(f"k{n}") is not hung]
    with Limiter("1000 per hour", store=f"{nodes.url}?timeout={TIMEOUT_S}s") as limiter:
        limiter.hit(served[0])
        hung.send(signal.SIGSTOP)
        start = time.monotonic()
        for _ in range(5):
            for key in lost[:20]:
                assert limiter.hit(key).reason == "error"
            for key in served[:20]:
                assert limiter.hit(key).reason == "quota"
        spent = time.monotonic() - start
        tries = FAILURES + spent * 1e9 / REST_NS
        assert spent < (tries + 1) * TIMEOUT_S + 10, "25 s, were each of them waited for"
        hung.send(signal.SIGCONT)


def test_a_user_with_the_documented_permissions_is_enough(nodes, permissions):
    """Also while a slot moves, and for both clients; without them that is a mistake."""
    store = nodes.store.replace("//", "//shop:secret@")
    for node in nodes.all:
        rules = permissions("decisions")
        node.client.execute_command("ACL SETUSER", "shop", "on", ">secret", *rules)
    assert all("cluster|slots" in told for told in mistakes(store))
    for node in nodes.all:
        rules = [*permissions("a Cluster"), *permissions("`clear`")]
        node.client.execute_command("ACL SETUSER", "shop", *rules)
    nodes.begin_to_move("a")
    with Limiter("5 per hour", store=store) as limiter:

        async def ask():
            return [(await limiter.ahit(key)).remaining for key in "ab"]

        assert [limiter.hit(key).remaining for key in "ab"] == [4, 4]
        assert asyncio.run(ask()) == [3, 3]
        limiter.reset("b")
        limiter.clear()
        assert limiter.hit("b").remaining == 4


def test_a_server_that_is_no_cluster_is_a_mistake(valkey):
    store = valkey.store.replace("redis://", "redis+cluster://")
    assert all("cluster support disabled" in told for told in mistakes(store))
    valkey.kill()
    with Limiter("5 per hour", store=store) as limiter:
        assert limiter.hit("a").reason == "error", "a node that is down is an outage"


def mistakes(store):
    """Errors of a Cluster, whatever is to be decided while there is none."""
    with Limiter("5 per hour", store=store, on_error="admit") as limiter:
        with pytest.raises(StoreError) as caught:
            limiter.hit("a")
        with pytest.raises(StoreError) as acaught:
            asyncio.run(limiter.ahit("a"))
    assert {caught.type, acaught.type} == {StoreError}
    return str(caught.value), str(acaught.value)


@pytest.fixture
def replica(nodes):
    """A replica of the first node."""
    replica = nodes.start()
    nodes.meet(replica, nodes.all)
    nodes.wait_for_acquaintance([*nodes.all, replica])
    replica.client.execute_command("CLUSTER REPLICATE", nodes.all[0].id)
    deadline = time.monotonic() + 60
    while replica.client.info("replication").get("master_link_status") != "up":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return replica


@pytest.mark.slow
@pytest.mark.parametrize("waiting", [False, True], ids=["hit", "ahit"])
def test_the_successor_of_a_hung_node_is_found_in_the_time_of_one_call(nodes, replica, waiting):
    primary = nodes.all[0]
    key = next(f"k{n}" for n in range(99) if nodes.owner_of(f"k{n}") is primary)
    with (
        Limiter("20 per hour", store=f"{nodes.url}?timeout={TIMEOUT_S}s") as limiter,
        asyncio.Runner() as loop,
    ):
        deadline = time.monotonic() + 120

        def wait_for_an_answer():
            while True:
                decision = loop.run(limiter.ahit(key)) if waiting else limiter.hit(key)
                if decision.reason == "quota":
                    return
                assert time.monotonic() < deadline
                time.sleep(0.05)

        wait_for_an_answer()
        primary.send(signal.SIGSTOP)
        while replica.client.role()[0] != b"master":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        wait_for_an_answer()
        primary.send(signal.SIGCONT)


@pytest.mark.slow
def test_a_failover_forgives_what_had_not_reached_the_replica_and_no_more(nodes, replica):
    limit = 20
    primary = nodes.all[0]
    key = next(f"k{n}" for n in range(99) if nodes.owner_of(f"k{n}") is primary)
    with Limiter(f"{limit} per hour", store=nodes.store) as limiter:
        assert limiter.hit(key, cost=5).admitted
        primary.kill()
        deadline = time.monotonic() + 60
        while replica.client.role()[0] != b"master":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        reached = replica.client.dbsize()
        while limiter.hit(key).reason == "error":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        admitted = 1 + sum(limiter.hit(key).admitted for _ in range(2 * limit))
    assert admitted == (limit - 5 if reached else limit)


@pytest.fixture
def four(start, start_valkey, unused_port, tmp_path, free_port):
    """Four server processes behind one address, on the Cluster but for the stores told."""
    nodes = Nodes(start_valkey, unused_port)
    with ExitStack() as stack:

        def behind(*others):
            stores = [*others, *[nodes.store] * (4 - len(others))]
            servers = [
                start(NATIVE, "--store", store, "--policy", "5 per 1s", "--workers", 1)
                for store in stores
            ]
            places = " ".join(f"server 127.0.0.1:{each.port} max_fails=0;" for each in servers)
            proxied = (
                "access_log off; location / { proxy_pass http://four; "
                'proxy_http_version 1.1; proxy_set_header Connection ""; }'
            )
            settings = {"http": f"upstream four {{ {places} keepalive 64; }}", "server": proxied}
            return stack.enter_context(running(tmp_path, free_port, **settings)).url

        yield behind


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize(("stores", "outcome"), [((), "consistent"), (("memory://",), "violated")])
def test_workers_of_a_dask_cluster_judge_a_limit_that_holds_across_servers(
    four, run_tester, stores, outcome
):
    """Of four server processes none counts by itself; or one does, and is found."""
    more = ("--on", "dask", "--iterations", 3, "--seed", 5, "--shrink-time", 0, "--fail-fast")
    code, lines, words = run_tester(four(*stores), *more)
    assert (code, lines[-1]["verdict"]) == ({"consistent": 0, "violated": 1}[outcome], outcome), (
        words
    )
