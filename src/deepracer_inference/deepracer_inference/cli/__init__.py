"""The command `deepracer-car`, and what it shares with the command `deepracer`; needs the extra `cli` (typer)."""
