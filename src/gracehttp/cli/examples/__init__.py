"""Files for the tools that start gracehttp or stand in front of it, made for the options in force.

Start reading at `service`: what an example knows of the service, and the shutdown budget, to which every time in these
files fits. `systemd`, `containers` and `proxies` have a function for each file, from a `Service` to its text. Nothing
here reads or writes anything. May import `config` and `net.address`."""
