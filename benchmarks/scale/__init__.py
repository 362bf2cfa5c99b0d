"""How gracehttp behaves when there is much of something: `python -m benchmarks.scale`.

idle.py        as many idle connections as the machine lets, and a restart while they are open
balance.py     how connections and requests spread over four workers
growth.py      what costs how much with more connections, and with more workers
plot.py        the picture of growth.py

Imports servers and clients from the package above. Start reading in __main__.py.
"""
