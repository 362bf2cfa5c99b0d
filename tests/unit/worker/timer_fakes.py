"""A loop whose clock the test moves, for what is due by it."""

from __future__ import annotations


class FakeTimer:
    def __init__(self, when, callback):
        self.when, self.callback, self.armed = when, callback, True

    def cancel(self):
        self.armed = False


class FakeLoop:
    def __init__(self):
        self.now = 100.0
        self.timers = []

    def time(self):
        return self.now

    def call_later(self, seconds, callback):
        self.timers.append(FakeTimer(self.now + seconds, callback))
        return self.timers[-1]

    def pass_time(self, seconds):
        self.now += seconds
        due = [timer for timer in self.timers if timer.armed and timer.when <= self.now]
        for timer in due:
            timer.armed = False
            timer.callback()
