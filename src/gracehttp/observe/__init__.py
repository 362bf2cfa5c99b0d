"""Logging, and reports of what an application does wrong.

`logs` sets up the standard `logging` and logs events; `loggers` has the loggers and levels, `formatters` turn a record
into text or JSON, `stderr` writes without blocking, `callbacks` hands records to functions of the user. Of requests:
`access_log`, `request_failures`, and `requests` for what both write of one. `tracebacks` and `suspended` show the
application's own frames.

May import config, events, errors and values. Start reading in `logs`.
"""
