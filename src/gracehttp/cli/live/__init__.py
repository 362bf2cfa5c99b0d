"""What `gracehttp top` shows: a view of a service that changes every second.

`source` asks the supervisor, over its control socket. `figures` makes rates and percentiles of two answers; it is pure.
`screen` shows them with textual, which is the extra `gracehttp[top]`. It may import
what `cli` may. Start reading at `source`.
"""
