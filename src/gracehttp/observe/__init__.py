"""Logging, and reports of what an application does wrong.

`logs` sets up the standard `logging` and logs events. `loggers` has the loggers and levels, `formatters` turn a record
into text or JSON, for `terminals` too, and `local_time` keeps all lines in one zone. Records go to `stderr`, which
never blocks, to `log_files`, to `callbacks` of the user, or where `log_config` says. `access_log` has a record for each
request, and `access_lines` its forms. `request_failures` tells of requests that the application answers wrongly.
`tracebacks` and `suspended` show the application's own frames.

It may import config, events, errors and values, and not `http`: what it needs of a request it describes itself. Start
reading at `logs`.
"""
