"""The command `deepracer`."""
