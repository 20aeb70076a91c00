"""Claims about scenarios: checked when made, reproducible from the seed, fresh in identity."""

import json
from typing import Any

import pytest

from rateproof.errors import InvalidArgument
from rateproof.keyspec import Part
from rateproof.policy import Policy
from rateproof.simulate.behaviour import Behaviour, rate_interval_ns
from rateproof.simulate.behaviours import BEHAVIOURS, make_behaviour
from rateproof.simulate.behaviours.boundary import Boundary
from rateproof.simulate.behaviours.burst import Burst
from rateproof.simulate.behaviours.constant import Constant
from rateproof.simulate.behaviours.drip import Drip
from rateproof.simulate.behaviours.poisson import Poisson
from rateproof.simulate.behaviours.saturate import Saturate
from rateproof.simulate.behaviours.think import Think
from rateproof.simulate.programs.program import Reply, Send
from rateproof.simulate.scenario import Client, Group, Scenario, fresh_seed
from rateproof.simulate.target import Target

TARGET = Target.parse("http://127.0.0.1:8080/")
SECOND = 10**9


def scenario(*groups: Group, **options: Any) -> Scenario:
    return Scenario(target=TARGET, groups=groups or (Group(Think()),), **options)


def schedule(client: Client, count: int = 50) -> list[Send]:
    plan = client.group.behaviour.program().plan(client.rng())
    found = [next(plan)]
    while len(found) < count:
        at_ns = found[-1].intended_ns
        found.append(plan.send(Reply(at_ns + 1, "admitted")))
    return found


@pytest.mark.parametrize(
    "behaviour",
    [Poisson(SECOND), Constant(SECOND), Boundary(), Burst(), Think()],
    ids=lambda behaviour: behaviour.name,
)
def test_the_same_seed_gives_the_same_intended_schedule(behaviour: Behaviour) -> None:
    one = [schedule(client) for client in scenario(Group(behaviour, 20), seed=5).clients()]
    two = [schedule(client) for client in scenario(Group(behaviour, 20), seed=5).clients()]
    other = [schedule(client) for client in scenario(Group(behaviour, 20), seed=6).clients()]
    assert repr(one).encode() == repr(two).encode()
    assert one != other


def test_clients_of_one_group_have_schedules_of_their_own() -> None:
    schedules = [tuple(schedule(c)) for c in scenario(Group(Poisson(), 20), seed=5).clients()]
    assert len(set(schedules)) == 20


def test_every_connection_of_a_client_follows_the_same_schedule() -> None:
    (client,) = scenario(Group(Burst(), connections=8), seed=1).clients()
    assert schedule(client) == schedule(client)


def test_a_re_run_has_fresh_identities_and_a_given_namespace_the_same_ones() -> None:
    def identities(**options: Any) -> list[bytes]:
        return [client.identity() for client in scenario(Group(Think(), 5), **options).clients()]

    assert not set(identities(seed=1)) & set(identities(seed=1))
    assert identities(namespace="x") == identities(namespace="x")


def test_clients_are_numbered_through_the_groups_and_have_distinct_identities() -> None:
    made = scenario(Group(Think(), 3), Group(Saturate(), 2, connections=4))
    clients = list(made.clients())
    assert [client.number for client in clients] == [0, 1, 2, 3, 4]
    assert len({client.identity() for client in clients}) == 5
    assert [client.group.connections for client in clients] == [1, 1, 1, 4, 4]
    assert made.client_count == 5
    assert made.connection_count == 11


@pytest.mark.parametrize("value", [0, -1, 1_000_001, 2.0, True, "5", None])
def test_a_number_of_clients_or_connections_out_of_bounds_is_refused(value: Any) -> None:
    with pytest.raises(InvalidArgument, match="clients"):
        Group(Think(), value)
    with pytest.raises(InvalidArgument, match="connections"):
        Group(Think(), 1, value)


def test_a_million_connections_are_accepted_and_one_more_is_not() -> None:
    assert scenario(Group(Think(), 500_000, 2)).connection_count == 1_000_000
    with pytest.raises(InvalidArgument, match="1000001"):
        scenario(Group(Think(), 500_000, 2), Group(Think()))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("duration_ns", [0, -1, 2**61, 1.5, True]),
        ("timeout_ns", [0, -1, 999_999, 3_600 * SECOND + 1, 1.5, None]),
        ("max_rate", [0, -1, float("nan"), float("inf"), 1e7, True, "5"]),
        ("seed", [-1, 2**63, 1.5, True, "1"]),
        ("rejected_statuses", [frozenset({99}), frozenset({1000}), frozenset({"503"})]),
        ("namespace", ["", "a b", "ä", "x" * 65]),
        ("key", [Part("ip"), Part("header", "Content-Length")]),
        ("method", ["get", "", "CONNECT", "A B", None]),
        ("headers", [(("Host", "x"),), (("A", "x\r\n"),), {"A": "x"}, None]),
        ("body", ["text", None, b"x" * (2**20 + 1)]),
        ("connect_timeout_ns", [0, 999_999, 3_600 * SECOND + 1, 1.5]),
        ("max_connections", [0, 1_000_001, 1.5, True]),
        ("start_ns", [-1, 2**61, 1.0, True]),
        ("lag_tolerance_ns", [0, 999, 3_600 * SECOND + 1, None]),
        ("ca_file", ["any.pem"]),
        ("insecure", [True]),
    ],
)
def test_a_value_out_of_bounds_is_refused(name: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(InvalidArgument):
            scenario(**{name: value})


def test_the_bounds_themselves_are_accepted() -> None:
    for options in (
        {"duration_ns": 1},
        {"duration_ns": None},
        {"timeout_ns": 1_000_000},
        {"timeout_ns": 3_600 * SECOND},
        {"max_rate": 0.001},
        {"max_rate": 1e6},
        {"seed": 0},
        {"seed": 2**63 - 1},
        {"connect_timeout_ns": 1_000_000},
        {"connect_timeout_ns": 3_600 * SECOND},
        {"max_connections": 1},
        {"max_connections": 1_000_000},
        {"lag_tolerance_ns": 1_000},
        {"start_ns": 0},
        {"start_ns": 2**61 - 1},
        {"lag_tolerance_ns": 3_600 * SECOND},
    ):
        scenario(**options)


def test_a_header_that_carries_the_identity_is_refused() -> None:
    for key, name in [(Part("header", "X-Id"), "x-id"), (Part("cookie", "id"), "Cookie")]:
        with pytest.raises(InvalidArgument, match="carries the identity"):
            scenario(key=key, headers=((name, "1"),))


def test_an_alias_is_another_identity_and_alias_0_is_the_clients_own() -> None:
    one, two = scenario(Group(Think(), 2), namespace="x").clients()
    assert one.identity(0) == one.identity()
    found = {client.identity(alias) for client in (one, two) for alias in range(50)}
    assert len(found) == 100
    assert {len(identity) for identity in found} == {18}


def test_a_scenario_without_groups_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="without clients"):
        Scenario(target=TARGET, groups=())


def test_a_scenario_without_a_seed_has_a_random_one() -> None:
    assert len({fresh_seed() for _ in range(20)}) > 1
    assert len({scenario().seed for _ in range(20)}) > 1


def test_its_plain_data_names_everything_and_is_json() -> None:
    made = scenario(Group(Boundary(), 2, 3), seed=9, policy=Policy.parse("5 per 5s"))
    data = json.loads(json.dumps(made.as_dict()))
    assert data["url"] == "http://127.0.0.1:8080/"
    assert data["seed"] == 9
    assert data["policy"] == "5 per 5s"
    assert data["key"] == "query:clientId"
    assert data["groups"] == [
        {
            "behaviour": {
                "name": "boundary",
                "limit": 5,
                "window_ns": 5 * SECOND,
                "edge_ns": SECOND // 10,
            },
            "clients": 2,
            "connections": 3,
        }
    ]


def test_its_plain_data_tells_the_request_but_no_secret() -> None:
    made = scenario(
        method="POST",
        headers=(("Accept", "text/*"), ("AUTHORIZATION", "Bearer s3cret"), ("X-Token", "s3cret")),
        body=b"password=s3cret",
        connect_timeout_ns=SECOND,
        max_connections=7,
    )
    data = made.as_dict()
    assert "s3cret" not in json.dumps(data)
    assert data["method"] == "POST"
    assert data["headers"] == [
        ["Accept", "text/*"],
        ["AUTHORIZATION", "[not shown]"],
        ["X-Token", "[not shown]"],
    ]
    assert data["body_bytes"] == 15
    assert data["connect_timeout_ns"] == SECOND
    assert data["max_connections"] == 7
    assert data["lag_tolerance_ns"] == SECOND // 100
    assert data["ca_file"] is None
    assert data["insecure"] is False


@pytest.mark.parametrize("rate", [1e-300, 5e-324, 4.3e-10])
def test_a_rate_below_one_in_73_years_is_refused_wherever_it_stands(rate: float) -> None:
    with pytest.raises(InvalidArgument, match=r"max_rate: .*at least one in 73 years"):
        scenario(max_rate=rate)
    with pytest.raises(InvalidArgument, match=r"rate: .*at least one in 73 years"):
        rate_interval_ns(rate)
    for name in BEHAVIOURS:
        with pytest.raises(InvalidArgument):
            make_behaviour(name, rate_per_s=rate)
    assert rate_interval_ns(4.4e-10) < 2**61


def test_a_header_dripped_over_the_whole_timeout_is_refused() -> None:
    slow = Group(Drip(over_ns=3 * SECOND))
    scenario(slow, timeout_ns=3 * SECOND + 1)
    with pytest.raises(InvalidArgument, match="over 3s, with a timeout of 3s"):
        scenario(Group(Think()), slow, timeout_ns=3 * SECOND)


def test_durations_are_told_as_people_write_them() -> None:
    for options, told in (
        ({"timeout_ns": 7_200 * SECOND}, r"^timeout: 2h is out of range \(1ms to 1h\)$"),
        ({"connect_timeout_ns": 0}, r"^connect_timeout: 0s is too short \(a duration above 0"),
        ({"duration_ns": -1}, r"^duration: -1ns is out of range \(a duration above 0"),
    ):
        with pytest.raises(InvalidArgument, match=told):
            scenario(**options)
