"""A server within an event loop that runs already: for tests and notebooks. It has no supervisor, so no restart.

python embedded.py
"""

import asyncio
import urllib.request

from hello_asgi import app

import gracehttp


def fetch(url):
    with urllib.request.urlopen(url) as response:
        return response.read().decode()


async def main():
    async with gracehttp.serving(app) as server:  # on a free port, which the server tells
        print("listening on", server.url)
        print(await asyncio.to_thread(fetch, server.url), end="")
    # Here it has ended: what was in flight is answered, and the port is closed.


asyncio.run(main())
