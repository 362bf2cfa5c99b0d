"""Files for the tools that start gracehttp or stand in front of it, made for the options in force.

Each module has a function from a `service.Service` to the text of the file. `service` also has the shutdown budget, to
which every time in these files fits. Nothing here reads or writes anything.
"""
