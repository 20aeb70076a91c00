"""A client cannot choose the address that it counts under, whatever it sends."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rateproof.enforce.http import AsgiRequest, ClientAddress, WsgiRequest, addresses
from rateproof.enforce.http.addresses import Networks
from rateproof.errors import InvalidArgument

LAN = ("10.0.0.0/8", "fd00::/8")


def found(address, peer="10.0.0.1", **fields):
    """The address of a request with these header fields, the same by WSGI and by ASGI."""
    variables = {f"HTTP_{name.upper()}": value for name, value in fields.items()}
    lines = [
        (name.lower().replace("_", "-").encode(), value.encode("latin-1"))
        for name, value in fields.items()
    ]
    by_wsgi = address.of(WsgiRequest({"REMOTE_ADDR": peer, **variables}))
    client = (peer, 1) if peer else None
    assert address.of(AsgiRequest({"type": "http", "client": client, "headers": lines})) == by_wsgi
    return by_wsgi.decode()


def test_without_proxies_nothing_that_is_sent_counts():
    assert found(ClientAddress(), X_Forwarded_For="192.0.2.9", Forwarded="for=192.0.2.9") == (
        "10.0.0.1"
    )


@pytest.mark.parametrize(
    ("proxies", "sent", "address"),
    [
        (1, "192.0.2.1", "192.0.2.1"),
        (1, "6.6.6.6, 192.0.2.1", "192.0.2.1"),
        (2, "6.6.6.6, 192.0.2.1, 10.0.0.2", "192.0.2.1"),
        (2, "192.0.2.1", "192.0.2.1"),
        (1, "", "10.0.0.1"),
        (LAN, "6.6.6.6, 192.0.2.1, 10.0.0.2, 10.0.0.3", "192.0.2.1"),
        (LAN, "6.6.6.6, 192.0.2.1", "192.0.2.1"),
        (LAN, "10.7.7.7, 192.0.2.1", "192.0.2.1"),
        (LAN, "10.0.0.9, 10.0.0.2", "10.0.0.9"),
        (LAN, "", "10.0.0.1"),
        (("192.168.0.0/16",), "192.0.2.1", "10.0.0.1"),
    ],
)
def test_the_walk_goes_from_the_right_past_trusted_hops_only(proxies, sent, address):
    assert found(ClientAddress(proxies), X_Forwarded_For=sent) == address


@pytest.mark.parametrize(
    "junk", ["unknown", "_hidden", "192.0.2", "1.2.3.4.5", "fe80::1%eth0", "[::1", "[::1]x", "a, b"]
)
def test_an_entry_that_is_no_address_ends_the_walk(junk):
    address = ClientAddress(LAN)
    assert found(address, X_Forwarded_For=f"6.6.6.6, {junk}, 10.0.0.2") == "10.0.0.2"
    assert found(address, X_Forwarded_For=f"6.6.6.6, {junk}") == "10.0.0.1"


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        ("192.0.2.1:4711", "192.0.2.1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ],
)
def test_an_address_may_have_a_port_and_any_spelling(entry, address):
    assert found(ClientAddress(1), X_Forwarded_For=entry) == address


def test_ipv6_proxies_and_mapped_addresses_are_in_their_networks():
    address = ClientAddress(LAN)
    assert found(address, peer="fd00::1", X_Forwarded_For="192.0.2.1, ::ffff:10.0.0.2") == (
        "192.0.2.1"
    )
    assert found(address, peer="::ffff:10.0.0.1", X_Forwarded_For="192.0.2.1") == "192.0.2.1"


@pytest.mark.parametrize(
    ("sent", "address"),
    [
        ("for=192.0.2.1", "192.0.2.1"),
        ('for=6.6.6.6;proto=http, For="[2001:db8::1]:4711" ; by=10.0.0.1', "2001:db8::1"),
        ('for="6.6.6.6, for=192.0.2.1', "192.0.2.1"),
        ('for="a,b";x="c,d", for=192.0.2.1;ext="e,f;for=g"', "10.0.0.1"),
        ('for="a", for=192.0.2.1;ext="e,f"', "192.0.2.1"),
        ("for=192.0.2.1;for=6.6.6.6", "10.0.0.1"),
        ("by=192.0.2.1", "10.0.0.1"),
        ("for=unknown", "10.0.0.1"),
        ('for="192.0.2.1', "10.0.0.1"),
    ],
)
def test_forwarded_is_read_as_rfc_7239_has_it(sent, address):
    reading = ClientAddress(1, header="Forwarded")
    assert found(reading, Forwarded=sent, X_Forwarded_For="6.6.6.6") == address


def test_what_a_client_put_in_front_is_not_even_read():
    """It would take minutes: a quote without an end, after a million commas."""
    for proxies in (1, LAN):
        reading = ClientAddress(proxies, header="Forwarded")
        sent = "," * 1_000_000 + '", for=192.0.2.1'
        assert found(reading, Forwarded=sent) == "192.0.2.1"


def test_a_long_field_is_read_in_time_that_grows_with_its_length_only():
    """It would take minutes: everything in the field is to be read, and nothing is found."""
    reading = ClientAddress(LAN, header="Forwarded")
    assert found(reading, Forwarded=f'for="{"," * 1_000_000}') == "10.0.0.1"
    assert found(reading, Forwarded="for=10.0.0.2," * 100_000) == "10.0.0.1"
    assert found(ClientAddress(LAN), X_Forwarded_For="10.0.0.2," * 100_000 + "10.0.0.3") == (
        "10.0.0.2"
    )


def test_an_entry_that_is_too_long_for_an_address_is_not_remembered():
    before = addresses._parsed.cache_info().currsize
    assert found(ClientAddress(1), X_Forwarded_For="1" * 46) == "10.0.0.1"
    longest = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"
    assert found(ClientAddress(1), X_Forwarded_For=longest) == str(ip_address(longest))
    assert addresses._parsed.cache_info().currsize == before + 1


def test_a_field_with_one_address_serves_too():
    assert found(ClientAddress(1, header="X-Real-Ip"), X_Real_Ip="192.0.2.1") == "192.0.2.1"


@pytest.mark.parametrize(("proxies", "address"), [(1, "192.0.2.1"), (("unix:",), "192.0.2.1")])
def test_a_proxy_may_come_by_a_unix_socket(proxies, address):
    assert found(ClientAddress(proxies), peer="", X_Forwarded_For="6.6.6.6, 192.0.2.1") == address


def test_a_unix_socket_is_trusted_only_if_named():
    assert found(ClientAddress(LAN), peer="", X_Forwarded_For="192.0.2.1") == ""


def test_of_ipv6_a_prefix_can_count():
    site = ClientAddress(ipv6_prefix=64)
    assert found(site, peer="2001:db8:1:2:3::4") == "2001:db8:1:2::/64"
    assert found(site, peer="2001:db8:1:2:ffff::") == "2001:db8:1:2::/64"
    assert found(site, peer="::1") == "::/64"
    assert found(site, peer="192.0.2.1") == "192.0.2.1"
    assert found(site, peer="::ffff:192.0.2.1") == "192.0.2.1"
    assert found(ClientAddress(1, ipv6_prefix=56), X_Forwarded_For="2001:db8:1:2::4") == (
        "2001:db8:1::/56"
    )


@given(st.text(st.characters(codec="latin-1", exclude_characters="\n\r"), max_size=60))
def test_whatever_a_client_sends_its_address_is_what_the_proxy_saw(sent):
    """Both a client of the proxy, and one that reaches the server past it."""
    seen = f"{sent}, 192.0.2.1" if sent else "192.0.2.1"
    for proxies in (1, LAN):
        assert found(ClientAddress(proxies), X_Forwarded_For=seen) == "192.0.2.1"
        reading = ClientAddress(proxies, header="Forwarded")
        seen_7239 = f"{sent}, for=192.0.2.1" if sent else "for=192.0.2.1"
        assert found(reading, Forwarded=seen_7239) == "192.0.2.1"
    assert found(ClientAddress(LAN), peer="192.0.2.8", X_Forwarded_For=sent) == "192.0.2.8"


@pytest.mark.parametrize(
    "options",
    [
        {"proxies": -1},
        {"proxies": "10.0.0.0/8"},
        {"proxies": ["10.0.0.1/8"]},
        {"proxies": ["nowhere"]},
        {"proxies": b"x"},
        {"proxies": [1]},
        {"proxies": [None]},
        {"proxies": None},
        {"proxies": True},
        {"proxies": 1.5},
        {"header": ""},
        {"header": "X Forwarded For"},
        {"header": "X-Forwarded-For:"},
        {"header": None},
        {"ipv6_prefix": 0},
        {"ipv6_prefix": 129},
        {"ipv6_prefix": "64"},
        {"ipv6_prefix": True},
    ],
)
def test_what_cannot_be_is_named(options):
    with pytest.raises(InvalidArgument) as refused:
        ClientAddress(**options)
    value = next(iter(options.values()))
    shown = value[0] if isinstance(value, list) else value
    assert str(shown) in refused.value.message
    assert refused.value.hint


def test_a_network_that_maps_ipv4_holds_its_addresses():
    assert "10.1.2.3" in Networks(["::ffff:10.0.0.0/104"], "proxies")
    assert "::ffff:10.1.2.3" in Networks(["::ffff:10.1.2.3"], "proxies")
    assert "11.1.2.3" not in Networks(["::ffff:10.0.0.0/104"], "proxies")
