"""Logging, and reports of what an application does wrong.

`logs` sets up the standard `logging` and logs events. `loggers` has the loggers and levels, `formatters` turn a record
into text or JSON, `local_time` keeps all lines in one zone, `stderr` writes without blocking, `callbacks` hands records
to functions of the user. `request_logs` has the access log, and what is logged of a request that the application
answers wrongly. `tracebacks` and `suspended` show the application's own frames.

It may import config, events, errors and values, and not `http`: what it needs of a request it describes itself. Start
reading at `logs`.
"""
