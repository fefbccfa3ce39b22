"""Reward functions to start from; each file also runs unchanged at AWS."""
