"""`--reload`: a change of a file restarts, as HUP does.

A helper process of the supervisor watches the files (`watcher`, with watchfiles), so that neither that library nor a
large tree is the supervisor's concern. Which files count is in `selection`, what has changed in `snapshot`. The
supervisor's side is `reloader`: it starts the helper, and restarts when `changes` says so, a pure function.

Start reading at `reloader`. Imports `wire`, and of the supervisor only `processes`.
"""
