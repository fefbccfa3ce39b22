"""Reward functions: AWS's contract, the user's files, their validation, and examples to start from."""
