"""TLS 1.3 after the handshake, by ourselves: so that a connection can go on in another process (RFC 8446).

OpenSSL carries out each handshake, and has the connection until it is handed over. What it knows can't leave its
process; the two traffic secrets can, with the number of the records in each direction. That is `state`.

- `keys`: one direction: secret, keys, sequence number; seals and opens one record
- `records`: both directions: what comes on the wire becomes data, what is written becomes records, alerts, KeyUpdate
- `session`: the same, called as `ssl.SSLObject` is, for `net.tls_stream`
- `key_log`: gets the secrets from OpenSSL; `witness`: counts its records, and proves that both fit
- `handover`: what a worker calls; without the library, a sentence

`keys` and all that uses it need the package `cryptography` (the extra `tls-handover`): import them only where that is
asked for. Nothing here has a socket. Start reading at `records`.
"""
