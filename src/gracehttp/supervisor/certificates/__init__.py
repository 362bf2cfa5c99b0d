"""TLS as far as the supervisor has to do with it: when workers load new certificates, and what encrypts their tickets.

`changes` decides, from what stat(2) tells of the files and what workers report. `watch` looks at the files, sends the
orders, and makes and renews the secret of the session tickets. `contents` keeps what workers have loaded, for others.
`files` reads them as root for workers that may not. No module here looks at what is in them.

Nothing here imports OpenSSL. Start reading in `changes`.
"""
