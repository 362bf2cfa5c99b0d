"""Functions of the user that are called when something happens: which there are, and the process that calls them.

`registry` keeps them by the event that they are for. Most are called in a process of their own, by `runner`: the
supervisor runs no code of the user (docs/decisions/0028-hooks.md). Those for the stages of a worker are called in the
worker itself (`gracehttp.events.stages`).

May import `config` and what is below it, but nothing that serves. Start reading at `registry`.
"""
