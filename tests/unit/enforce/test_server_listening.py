"""An address is refused before anything starts, if it cannot be listened on."""

import socket

import pytest

from rateproof.enforce.server import listening
from rateproof.enforce.server.listening import accepts, bound_socket, url_of
from rateproof.errors import Unreachable


def test_a_port_that_is_listened_on_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Unreachable, match=f"127.0.0.1:{port} is already in use"):
            bound_socket("127.0.0.1", port)


def test_a_port_that_is_listened_on_for_sharing_is_not_shared():
    """Two servers with SO_REUSEPORT would split the connections between them without a word."""
    taken = socket.create_server(("127.0.0.1", 0), reuse_port=True)
    with taken, pytest.raises(Unreachable, match="in use"):
        bound_socket("127.0.0.1", taken.getsockname()[1])


def test_a_port_taken_on_every_address_is_taken_on_each():
    taken = socket.create_server(("0.0.0.0", 0))
    with taken, pytest.raises(Unreachable, match="in use"):
        bound_socket("127.0.0.1", taken.getsockname()[1])


def test_an_address_of_another_machine_is_refused():
    with pytest.raises(Unreachable, match=r"192\.0\.2\.1:8080 is not an address of this machine"):
        bound_socket("192.0.2.1", 8080)


def test_a_host_without_an_address_is_named(monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(listening.socket, "getaddrinfo", unknown)
    with pytest.raises(Unreachable, match=r"'nowhere\.invalid' cannot be resolved"):
        bound_socket("nowhere.invalid", 8080)


@pytest.mark.parametrize("host", ["a" * 64, "nul\0", "\ud800"])
def test_a_host_that_is_no_name_is_named(host):
    with pytest.raises(Unreachable, match="cannot be resolved"):
        bound_socket(host, 8080)


def test_a_port_that_needs_privileges_is_explained(monkeypatch):
    class Forbidding(socket.socket):
        def bind(self, _):
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(listening.socket, "socket", Forbidding)
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:80 may not be listened on"):
        bound_socket("127.0.0.1", 80)


def test_of_several_addresses_ipv4_is_preferred():
    with bound_socket("localhost", 0) as bound:
        assert bound.getsockname()[0] == "127.0.0.1"


def test_a_bound_port_does_not_accept_until_it_listens():
    with bound_socket("0.0.0.0", 0) as bound:
        ip, port = bound.getsockname()
        assert not accepts(ip, port)
        bound.listen()
        assert accepts(ip, port)


def test_an_ipv6_address_stands_in_brackets():
    assert url_of("::1", 8080) == "http://[::1]:8080"
    assert url_of("localhost", 8080) == "http://localhost:8080"
