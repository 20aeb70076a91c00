"""The command `rateproof doctor`: whether this machine has what a limiter needs."""

import errno
import json
import os
import re
import resource
import socket
import time
import timeit
from argparse import Namespace
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

from rateproof import linux
from rateproof.core import INSTALL, active_core, lacking
from rateproof.enforce.stores.location import directory_of
from rateproof.output import emit

EXTRAS: Final = {
    "server": (("flask", "granian"), "rateproof serve"),
    "load": (("requests", "pyarrow"), "event logs in Parquet, and sending without the native core"),
    "view": (("textual",), "the live view of client.py"),
    "report": (("jinja2",), "reports in HTML"),
    "redis": (("redis",), "redis:// stores"),
    "limits": (("limits",), "Flask-Limiter and slowapi on our tables"),
    "dask": (
        ("distributed", "pyarrow", "universal-pathlib"),
        "--on: work by many processes or machines",
    ),
    "s3": (("s3fs",), "logs in s3://"),
    "flask": (("flask",), "the Flask extension"),
    "fastapi": (("fastapi",), "the FastAPI dependency"),
    "django": (("django",), "Django: middleware, decorators, throttles"),
}
"""For each extra its packages, and what it is for."""

_LEAST_ROOM = 16_000_000  # two tables of `5 per 5s`
_LEAST_DESCRIPTORS = 64
_SLOWEST_CLOCK_NS = 2_000
_FIRST_USER = 1_000  # users below are the system's, and keep their IPC
_PORT = 8080
_LOGIND = (Path("/etc/systemd/logind.conf"), Path("/etc/systemd/logind.conf.d"))
_SYSTEMD = Path("/run/systemd/system")


State: TypeAlias = Literal["ok", "missing", "note", "wrong"]


class Condition(NamedTuple):
    """One thing that was looked at.

    Args:
        about: what.
        state: `ok`, `missing` what is only needed for something, `note` what to know, or `wrong`.
        said: what was found.
        hint: what to do; empty where all is well.
    """

    about: str
    state: State
    said: str
    hint: str = ""


def run_doctor(arguments: Namespace) -> int:
    """Print what is found; 0, or 1 if something is wrong."""
    linux.required("rateproof doctor")
    findings = list(examine())
    for finding in findings:
        if arguments.json:
            emit(json.dumps(finding._asdict()))
            continue
        emit(f"{finding.state:8}{finding.about:16}{finding.said}", sentences=True)
        if finding.hint:
            emit(f"{'':24}{finding.hint}", sentences=True)
    return int(any(finding.state == "wrong" for finding in findings))


def examine() -> Iterator[Condition]:
    """Look at everything, one after the other."""
    yield _core()
    yield from _extras()
    yield _shared_memory()
    yield _descriptors()
    yield _clock()
    yield _time_namespace()
    yield _remove_ipc(_LOGIND, os.geteuid())
    yield _port(_PORT)


def _core() -> Condition:
    why = lacking()
    if why is not None:
        said = f"python: the native core {why}, so no shm:// and one worker"
        return Condition("core", "wrong", said, INSTALL)
    forced = os.environ.get("RATEPROOF_CORE")
    why = f"RATEPROOF_CORE={forced}" if forced else "it was built"
    return Condition("core", "ok", f"{active_core()}: {why}")


def _extras() -> Iterator[Condition]:
    for extra, (packages, purpose) in EXTRAS.items():
        found, lacking = [], []
        for package in packages:
            try:
                found.append(f"{package} {version(package)}")
            except PackageNotFoundError:
                lacking.append(package)
        if lacking:
            said = f"no {', '.join(lacking)}; for {purpose}"
            yield Condition(extra, "missing", said, f"pip install {' '.join(lacking)}")
        else:
            yield Condition(extra, "ok", f"{', '.join(found)}; for {purpose}")


def _shared_memory() -> Condition:
    folder = directory_of("").parent
    about = str(linux.SHARED_MEMORY)
    if str(folder) != about:
        return Condition(
            about, "wrong", f"cannot be written: stores lie in {folder}", "mount a tmpfs"
        )
    room = os.statvfs(folder)
    free, size = (count * room.f_frsize for count in (room.f_bavail, room.f_blocks))
    said = f"{(size - free) / 1e6:.0f} of {size / 1e6:.0f} MB are used"
    if free < _LEAST_ROOM:
        return Condition(about, "wrong", said, "rateproof store ls, or a larger one: --shm-size")
    return Condition(about, "ok", said)


def _descriptors() -> Condition:
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = linux.descriptors() or 0
    enough = most == resource.RLIM_INFINITY or most - used >= _LEAST_DESCRIPTORS
    said = f"at most {most}; a table takes one, a connection one"
    return (
        Condition("descriptors", "ok", said)
        if enough
        else Condition("descriptors", "wrong", said, "ulimit -n 1024")
    )


def _clock() -> Condition:
    # Of many rounds the fastest: the others may have waited for a processor.
    each_ns = min(timeit.repeat(time.monotonic_ns, number=100, repeat=50)) * 1e9 // 100
    step_ns = round(time.clock_getres(time.CLOCK_MONOTONIC) * 1e9)
    said = f"{linux.clocksource()}, in steps of {step_ns} ns, read in {each_ns:.0f} ns"
    if each_ns > _SLOWEST_CLOCK_NS or step_ns > 1_000_000:
        return Condition("clock", "wrong", said, "clocksource=tsc, where the machine has it")
    return Condition("clock", "ok", said)


def _time_namespace() -> Condition:
    namespace = linux.time_namespace()
    if namespace is None:
        return Condition("time namespace", "ok", "none")
    found, ahead = namespace
    said = f"{found}, its clock {ahead:+} s" if ahead else f"{found}, the machine's own clock"
    return Condition("time namespace", "ok", said)


def _remove_ipc(places: tuple[Path, ...], user: int) -> Condition:
    about = "RemoveIPC"
    if not _SYSTEMD.is_dir():
        return Condition(about, "ok", "no systemd, so no logind that deletes stores")
    if user < _FIRST_USER:
        return Condition(
            about, "ok", f"user {user} is the system's: logind leaves its stores alone"
        )
    files = [
        each
        for place in places
        for each in ([place] if place.is_file() else sorted(place.glob("*.conf")))
    ]
    try:
        texts = [each.read_text(errors="replace") for each in files]
    except OSError as error:
        said = f"cannot be read: {error.filename}: {error.strerror}"
        return Condition(
            about, "note", said, "RemoveIPC=no in it, if logind is not to delete stores"
        )
    told = re.findall(r"^\s*RemoveIPC\s*=\s*(\w+)", "\n".join(texts), re.MULTILINE)
    values = [value.lower() for value in told]
    if values and values[-1] in {"no", "n", "false", "f", "off", "0"}:
        return Condition(about, "ok", "no")
    said = f"yes: stores of user {user} are deleted when its last session ends"
    return Condition(
        about, "wrong", said, "RemoveIPC=no in /etc/systemd/logind.conf, or a system service"
    )


def _port(port: int) -> Condition:
    about = f"port {port}"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            # Where a server runs as it should, it is taken.
            state: State = "note" if error.errno == errno.EADDRINUSE else "wrong"
            said = f"cannot be had: {error.strerror}"
            return Condition(about, state, said, "another one: rateproof serve --port PORT")
    return Condition(about, "ok", "free")
