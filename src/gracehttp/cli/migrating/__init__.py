"""From the options of another server to ours: what `gracehttp migrate` prints, and the hint at an unknown option.

Start reading in `plan`: a `Rule` says what becomes of one option of another server, and a `Plan` collects what
becomes of all. `gunicorn`, `uvicorn`, `granian` and `hypercorn` are their rules. `arguments` reads a command line by
such rules, `config_files` a file of options (one that is Python in a process of its own, `config_probe`), `servers`
tells which server that was, `writing` prints a plan.

It may import `config` and what is below; none of these servers, which needn't be installed.
"""
