"""What `gracehttp check` tries."""
