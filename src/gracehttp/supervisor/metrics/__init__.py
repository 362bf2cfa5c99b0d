"""The metrics: what is counted over all workers and generations, and the text in which Prometheus reads it.

Start reading at `catalog`, which names every metric. `pages` adds up what the workers count, those that are gone
included. `facts` counts what happens in the supervisor. `collector` reads both, the listeners, the fleet and the
processes, and fills the catalog. `exposition` writes the text, which `supervisor.endpoints` and the control socket give
to their clients.

Imports the packages below the supervisor, and of it what it reads: fleet, listeners, processes.
"""
