"""The control socket, and what its clients are told. `gracehttp.wire.control` has the protocol.

Start reading at `socket`. Each client is a `connection`; as one that waits for an outcome it is a requester
(`requesters`). `status` collects what `gracehttp status` shows, `recent` the latest events for `gracehttp top`.
`fixed_options` tells which options a running supervisor keeps whatever new code is given.

Imports the other parts of the supervisor only to describe them in `status` and `fixed_options`.
"""
