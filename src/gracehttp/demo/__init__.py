"""The demo of `gracehttp demo`: a small service, and the proof that restarts lose none of its requests.

`app` is the application. `proof` starts the service in a child process, restarts it under `load`, and prints the sums
of `accounting`. The load has a small HTTP client of its own, so that the proof doesn't rest on the server's parser.

It may import what the command line may, but not the commands. Start reading at `proof`.
"""
