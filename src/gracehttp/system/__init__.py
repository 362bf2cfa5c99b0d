"""This process as the operating system sees it; nothing here knows what it serves.

- `credentials`: its user and groups (credentials(7)), and those that workers get
- `surroundings`: its folder and its umask
- `process_title`: what ps(1) and top(1) show of it
- `threads`: how many it has
- `readiness`: being called while a descriptor is ready, also where epoll(7) has no room for one more

It may import `errors`, `hints` and `values` alone. The modules don't know each other: start reading at the one that is
needed.
"""
