"""How the supervisor replaces itself without a pause: it executes its command line anew, in the same process.

Start reading at `replacement`. First a child process tries whether the next image would start and could read the state
(`trial`). Then `execve` becomes that image: the PID, the children, the sockets and the lock of the pidfile stay.
`state` is all that a supervisor knows and holds, in a form that another release can read.

Imports the records of `processes`, `listeners`, `control` and `fleet`.
"""
