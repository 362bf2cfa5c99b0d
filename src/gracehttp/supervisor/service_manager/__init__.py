"""What the supervisor and its service manager (systemd) say to each other, by sd_notify(3) and sd_listen_fds(3).

`manager` joins the parts. Start reading at `notices`: which state of the service each event means, for `Type=notify`
and `Type=notify-reload`. `socket` sends it, `watchdog_pings` show regularly that the service lives, and `store` gives
listeners to the manager to keep, so that their queues live on when the supervisor is killed.

None of it needs systemd: the process that sets NOTIFY_SOCKET is the manager. Imports `fleet` and the packages below.
"""
