"""What runs the user's applications: from an import string to a callable that answers exchanges.

`importer` finds an application, and `import_failures` tells why not. `detect` tells its interface. `loading` imports
each one once per process, and `lazy_parts` what its framework would load later. `registry`
holds the applications of a process; servers that name the same application share it. `asgi` and `wsgi` each wrap a
callable into an `Application` (`gracehttp.http.exchange`), which the protocols hand their exchanges to.
`drain_notice` tells applications that their process drains. `probes` answers health checks in their place.
`interpreter_calls` is what each request asks of the interpreter.

It may import `http.exchange` and `http.fields`, `config`, `observe`, `hints` and `errors`. It sees no framing and no
connection. Start reading at `registry`, then `asgi.application` or `wsgi.application`.
"""
