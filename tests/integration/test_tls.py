"""Whom the clients trust, and what they make of a server that does not speak TLS as it should."""

import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from rateproof.errors import InvalidArgument
from rateproof.events import EventLog
from rateproof.simulate.control import Control
from rateproof.simulate.scenario import Group, Scenario
from rateproof.simulate.target import Target
from tests.scripts import OK, Times

MS = 1_000_000

Handler = Callable[[socket.socket], None]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, str]:
    """An authority, and the file of its certificate."""
    made = trustme.CA()
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    made.cert_pem.write_to_path(path)
    return made, str(path)


@pytest.fixture
def listen() -> Iterator[Callable[[Handler], int]]:
    """Handle every connection to a port, each in a thread."""
    with contextlib.ExitStack() as listening:

        def start(handler: Handler, host: str = "127.0.0.1") -> int:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = socket.create_server((host, 0), family=family, backlog=256)
            listening.callback(listener.close)
            listening.callback(lambda: listener.shutdown(socket.SHUT_RDWR))

            def handle(connection: socket.socket) -> None:
                with contextlib.suppress(OSError), connection:
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    handler(connection)

            def accept() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        connection, _ = listener.accept()
                        threading.Thread(target=handle, args=(connection,), daemon=True).start()

            threading.Thread(target=accept, daemon=True).start()
            port: int = listener.getsockname()[1]
            return port

        yield start


def context_of(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def requests_of(connection: ssl.SSLSocket) -> Iterator[bytes]:
    buffered = b""
    while chunk := connection.recv(65_536):
        buffered += chunk
        while b"\r\n\r\n" in buffered:
            head, _, buffered = buffered.partition(b"\r\n\r\n")
            yield head


def answering(context: ssl.SSLContext, agreed: list[str | None] | None = None) -> Handler:
    def handler(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as session:
            if agreed is not None:
                agreed.append(session.selected_alpn_protocol())
            for _ in requests_of(session):
                session.sendall(OK)

    return handler


def run(
    transport: str, port: int, times: int = 3, host: str = "127.0.0.1", **options: Any
) -> EventLog:
    options = {"timeout_ns": 60_000 * MS} | options
    scenario = Scenario(
        target=Target("https", host, port), groups=(Group(Times(times), 3),), seed=1, **options
    )
    module = import_module(f"rateproof.simulate.transports.{transport}")
    log: EventLog = module.run(scenario, control=Control())
    return log


def check_refused(log: EventLog, kind: str = "tls") -> None:
    """Each request is a row of its own, none was sent in clear or decided upon."""
    assert log.column("error") == [kind] * 9
    assert log.column("outcome") == ["unknown"] * 9
    assert log.column("status") == log.column("received_ns") == [None] * 9
    assert len(set(log.column("connection"))) == 9


# ------------------------------------------------------------- whom to trust


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_a_certificate_of_the_given_authority_for_the_host_is_trusted(
    listen: Callable[..., int], authority: tuple[trustme.CA, str], transport: str, host: str
) -> None:
    made, ca_file = authority
    address = "127.0.0.1" if host == "localhost" else host
    port = listen(answering(context_of(made.issue_cert(host))), address)
    log = run(transport, port, host=host, ca_file=ca_file)
    assert log.column("status") == [200] * 9
    assert len(set(log.column("connection"))) == 3  # kept


def test_a_certificate_of_nobody_known_is_refused(
    listen: Callable[..., int], authority: tuple[trustme.CA, str], transport: str
) -> None:
    port = listen(answering(context_of(trustme.CA().issue_cert("127.0.0.1"))))
    check_refused(run(transport, port))
    check_refused(run(transport, port, ca_file=authority[1]))


@pytest.mark.parametrize("name", ["example.test", "127.0.0.2", "*.localhost"])
def test_a_certificate_for_another_host_is_refused(
    listen: Callable[..., int], authority: tuple[trustme.CA, str], transport: str, name: str
) -> None:
    made, ca_file = authority
    port = listen(answering(context_of(made.issue_cert(name))))
    check_refused(run(transport, port, ca_file=ca_file))


def test_a_certificate_whose_time_is_over_is_refused(
    listen: Callable[..., int], authority: tuple[trustme.CA, str], transport: str
) -> None:
    made, ca_file = authority
    over = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    context = context_of(made.issue_cert("127.0.0.1", not_before=over, not_after=over))
    check_refused(run(transport, listen(answering(context)), ca_file=ca_file))


def test_insecure_trusts_every_certificate(
    listen: Callable[..., int], authority: tuple[trustme.CA, str], transport: str
) -> None:
    made, _ = authority
    over = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    for certificate in (
        trustme.CA().issue_cert("127.0.0.1"),
        made.issue_cert("example.test"),
        made.issue_cert("127.0.0.1", not_before=over, not_after=over),
    ):
        port = listen(answering(context_of(certificate)))
        assert run(transport, port, insecure=True).column("status") == [200] * 9


@pytest.mark.parametrize("is_authority", [True, False])
def test_a_certificate_signed_by_itself_is_trusted_where_it_is_given(
    listen: Callable[..., int], transport: str, tmp_path: Path, *, is_authority: bool
) -> None:
    """As `openssl req -x509` makes it, which calls it an authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = _signed_by_itself(tmp_path, is_authority=is_authority)
    context.load_cert_chain(certificate)
    port = listen(answering(context))
    check_refused(run(transport, port))
    assert run(transport, port, ca_file=certificate).column("status") == [200] * 9
    check_refused(run(transport, port, host="localhost", ca_file=certificate))


def _signed_by_itself(folder: Path, *, is_authority: bool) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "own.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(pem))
    return str(path)


def test_a_file_without_certificates_is_a_bad_argument(tmp_path: Path, transport: str) -> None:
    for content in (None, "", "no certificate\n"):
        path = tmp_path / "ca.pem"
        if content is not None:
            path.write_text(content)
        with pytest.raises(InvalidArgument, match=r"ca_file .*ca\.pem"):
            run(transport, 1, ca_file=str(path))


# ------------------------------------------------------------- how it is spoken


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_of_tls_are_spoken_and_http_1_1_is_agreed_on(
    listen: Callable[..., int],
    authority: tuple[trustme.CA, str],
    transport: str,
    version: ssl.TLSVersion,
) -> None:
    made, ca_file = authority
    context = context_of(made.issue_cert("127.0.0.1"))
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    agreed: list[str | None] = []
    log = run(transport, listen(answering(context, agreed)), ca_file=ca_file)
    assert log.column("status") == [200] * 9
    assert agreed == ["http/1.1"] * 3


def test_a_large_body_comes_whole(
    listen: Callable[..., int], authority: tuple[trustme.CA, str], transport: str
) -> None:
    """Records do not end where reads do."""
    made, ca_file = authority
    context = context_of(made.issue_cert("127.0.0.1"))

    def handler(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as session:
            for _ in requests_of(session):
                session.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                session.sendall(b"x" * 1_000_000)

    log = run(transport, listen(handler), ca_file=ca_file)
    assert log.column("bytes") == [1_000_000] * 9
    assert log.column("error") == [None] * 9


# ------------------------------------------------------------- what is no TLS


def plain(connection: socket.socket) -> None:
    connection.recv(4_096)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def hanging_up(connection: socket.socket) -> None:
    connection.recv(4_096)


def silent(connection: socket.socket) -> None:
    while connection.recv(4_096):  # until the client gives up
        pass


def half(connection: socket.socket) -> None:
    connection.recv(4_096)
    connection.sendall(b"\x16\x03\x03\x40\x00\x02")  # a record of 16 KiB that never comes
    silent(connection)


@pytest.mark.parametrize(
    ("handler", "kind"),
    [(plain, "tls"), (hanging_up, "tls"), (silent, "timeout"), (half, "timeout")],
)
def test_a_handshake_that_fails_is_an_error_of_the_request(
    listen: Callable[..., int], transport: str, handler: Handler, kind: str
) -> None:
    timeout_ns = (300 if kind == "timeout" else 60_000) * MS
    check_refused(run(transport, listen(handler), timeout_ns=timeout_ns, insecure=True), kind)


def test_a_server_without_common_ciphers_is_refused(
    listen: Callable[..., int], authority: tuple[trustme.CA, str], transport: str
) -> None:
    made, ca_file = authority
    context = context_of(made.issue_cert("127.0.0.1"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA:@SECLEVEL=0")  # no forward secrecy: nobody offers it any more
    check_refused(run(transport, listen(answering(context)), ca_file=ca_file))


@pytest.mark.parametrize(("clean", "error"), [(True, None), (False, "closed")])
def test_a_body_that_ends_with_the_connection_is_whole_only_if_tls_says_so(
    listen: Callable[..., int],
    authority: tuple[trustme.CA, str],
    *,
    clean: bool,
    error: str | None,
) -> None:
    """Anybody on the way can end a connection; `close_notify` is the server's (RFC 9112, 9.8).

    Requests does not tell them apart, so this is a claim about the native engine.
    """
    made, ca_file = authority
    context = context_of(made.issue_cert("127.0.0.1"))

    def handler(connection: socket.socket) -> None:
        session = context.wrap_socket(connection, server_side=True, suppress_ragged_eofs=True)
        next(requests_of(session))
        session.sendall(b"HTTP/1.1 200 OK\r\n\r\nhalf of it")
        if clean:
            session = session.unwrap()
        session.close()

    log = run("native", listen(handler), ca_file=ca_file)
    assert log.column("error") == [error] * 9
    assert log.column("status") == [200] * 9
    assert log.column("bytes") == [10] * 9
