"""`gracehttp demo`."""
