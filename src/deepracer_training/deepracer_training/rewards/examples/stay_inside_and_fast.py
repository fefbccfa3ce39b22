"""Keep all wheels on the road and choose fast actions.

When to use: once a model laps safely and should become faster. The line is free, so that the car may cut corners up
to the border. The speed is the commanded one, as a share of TOP_SPEED: set that to the fastest speed of your action
space.
"""

TOP_SPEED = 2.0
BORDER_MARGIN = 0.1


def reward_function(params):
    """Return 0.2 to 1 for speed while inside, half of it near the border, next to nothing outside."""
    if not params["all_wheels_on_track"]:
        return 0.001
    speed = min(params["speed"] / TOP_SPEED, 1.0)
    reward = 0.2 + 0.8 * speed**2
    to_border = 0.5 * params["track_width"] - params["distance_from_center"]
    if to_border < BORDER_MARGIN:
        reward *= 0.5
    return float(reward)
