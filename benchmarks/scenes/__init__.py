"""The scenes of `python -m benchmarks`: one question each, answered by every server that can take part.

requests.py        1 to 12: CPU time per request
idle.py            13: memory and latency with many idle connections
restart.py         14: one restart under load
startup.py         15: time to the first answer, memory
transfer.py        16: 1 GB in either direction
deploys.py         17: four restarts in ten seconds, broken and slow code

bench.py is what a scene gets, and what it must have. It imports servers, loads and clients from the package above;
nothing there imports a scene but __main__.py. Start reading in bench.py.
"""
