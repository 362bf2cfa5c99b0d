"""What `gracehttp check` tries, without side effects on a running service.

`certificates` loads a certificate and its key, and `tls_handover` the library that it takes. `imports` has an
application imported in a child process, which runs `import_probe`; `hooks` does the same for a hook. Each returns what
it tried, or raises the error with which `gracehttp serve` would fail.

It may import everything but the other commands. Start reading at `cli.check`, which calls them.
"""
