"""Workers that fork from a process that has the store open: a right decision or a clear error."""

import http.client
import os

APP = """
from rateproof import Limiter, RateLimitMiddleware

limiter = Limiter("2 per 1h", store="{store}")

def greet(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

app = RateLimitMiddleware(greet, limiter, key="query:id|ip")
assert limiter.hit("query:id=5:known").admitted
"""
FORKED = """
import os, resource, sys
from rateproof import Limiter, StoreError

limiter = Limiter("2 per 1h", store=sys.argv[1])
assert limiter.hit("known").admitted
if os.fork() == 0:
    resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))
    taken = []
    try:
        while True:
            taken.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    print(limiter.hit("known").admitted, limiter.hit("known").admitted)
    try:
        print(limiter.hit("new").admitted)
    except StoreError as error:
        print(error)
    for descriptor in taken:
        os.close(descriptor)
    print(limiter.hit("new").admitted, flush=True)
    os._exit(0)
os.wait()
print(limiter.peek("known").remaining, limiter.peek("new").remaining)
"""


def test_a_forked_worker_out_of_descriptors_says_so_of_new_keys(spawn, store):
    process = spawn("-c", FORKED, store)
    said, errors = process.communicate(timeout=60)
    known, refused, later, seen = said.splitlines()
    assert known == "True False"
    assert "Too many open files" in refused
    assert "more open files (ulimit -n), or fewer of them" in refused
    assert later == "True", errors
    assert seen == "0 1"


def status(port, identity):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", f"/?id={identity}")
        return connection.getresponse().status
    finally:
        connection.close()


def check_preloaded(spawn, store, port, wait_for_port, folder):
    (folder / "preloaded.py").write_text(APP.format(store=store))
    process = spawn(
        *("-m", "gunicorn", "--preload", "--user", "nobody", "--workers", 1),
        *("--bind", f"127.0.0.1:{port}", "preloaded:app"),
        cwd=folder,
    )
    wait_for_port(port, process)
    assert [status(port, "known"), status(port, "known")] == [200, 429]
    assert status(port, "new") == 503
    process.terminate()
    said = process.communicate(timeout=60)[1]
    assert "Permission denied" in said
    assert "open the table in the process and as the user that uses it" in said


if os.geteuid() == 0:  # nobody else can become another user

    def test_workers_of_another_user_than_who_opened_the_store_say_so(
        spawn, store, free_port, wait_for_port, tmp_path
    ):
        check_preloaded(spawn, store, free_port, wait_for_port, tmp_path)
