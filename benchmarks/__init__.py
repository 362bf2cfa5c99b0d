"""Measuring scripts, run by hand from the root of a checkout; no test and no part of the package imports them.

floor.py        what one request, one idle connection and one restart cost, beside uvicorn: start reading here
small_get.py    a small GET, beside several servers
websocket.py    an echoed WebSocket message, beside several servers
handover_drain.py, soak.py, accept_wakeups.py    one question each

harness.py starts and watches servers, clients.py makes their load, applications.py is what they serve.
Install what they need with `pip install --editable '.[bench]'`; the load comes from wrk, a package of the distribution.
"""
