"""Two servers in one program: HTTP and HTTPS, each with a limit, and callbacks for a log component of your own.

A certificate to try it with:

    openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 30 -subj /CN=localhost
    python two_servers.py

The supervisor runs this script again for each worker and at each restart. So the applications are import strings: then
the supervisor itself never imports them, and a mistake in them can't hurt it.
"""

import sys

import gracehttp


def on_error(text):
    print("ERROR", text, file=sys.stderr)


def on_notice(text):
    print("NOTICE", text, file=sys.stderr)


gracehttp.set_error_log_callback(on_error)
gracehttp.set_notice_log_callback(on_notice)

grace = gracehttp.GraceHTTP(workers=2, log_level="critical")  # the callbacks tell the rest
grace.add_server("hello_asgi:app", bind="127.0.0.1:9090", max_connections=1000)
grace.add_server(
    "hello_wsgi:app",
    bind="https://127.0.0.1:9443",
    certfile="cert.pem",
    keyfile="key.pem",
    max_connections=1000,
)
grace.run()
