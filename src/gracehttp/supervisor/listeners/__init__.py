"""Listening sockets and what belongs to them, held by the supervisor so that no death of a worker loses a connection.

Start reading at `ports`: what happens to a port happens to its parts. `table` tells which listeners there are, and
which generation uses them. Each is a `held_listener`, and has a handover queue of its own (`queues`), in which
connections wait between two workers. The `auditor` puts the permits of dead workers back into circulation.

Imports the packages below the supervisor, and nothing else of it.
"""
