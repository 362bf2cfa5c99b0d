"""What gracehttp costs, measured: run by hand from the root of a checkout. No part of the package imports it.

`python -m benchmarks`                 side by side with other servers; its scenes are in scenes/: start reading there
`python -m benchmarks.instructions`    instructions per request by valgrind, and the check that they don't rise
`python -m benchmarks.scale`           many idle connections through a restart, balance, how cost grows
websocket.py                           an echoed WebSocket message, beside other servers: websocket.md
handover_drain.py, accept_wakeups.py, hostile_clients.py, tls_records.py, tls_memory.py    one question each
soak.py, mixed_soak.py                 hours of load, and whether anything grows

session.py frames a run and ends all that it starts. installed.py, peers.py and nginx.py know the servers and their
commands, server.py runs one and reads what it uses. loads.py saturates a server; clients.py and deploy_clients.py
measure latency and restarts. figures.py, targets.py, report.py and picture.py make the result. The applications are
applications.py, those of the frameworks, and deployed.py. What is needed is installed by
`pip install --editable '.[bench]'` and `apt install wrk nginx-light valgrind`.
"""
