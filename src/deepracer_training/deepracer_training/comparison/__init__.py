"""Comparing models: what their laps say, how sure that is, and what differs between them."""
