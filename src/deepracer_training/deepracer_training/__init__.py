"""Model folders, reward functions, environment, PPO, evaluation, reports and the command line."""
