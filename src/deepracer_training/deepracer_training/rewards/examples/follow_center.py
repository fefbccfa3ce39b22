"""Stay on the centre line.

When to use: to see a first model lap safely, or on a narrow track. The car has no reason to be fast: it drives at
whatever speeds the action space offers, so offer slow ones only.
"""


def reward_function(params):
    """Return 1 on the centre line, falling to 0 at the border, and next to nothing beside the road."""
    if not params["all_wheels_on_track"]:
        return 0.001
    distance = params["distance_from_center"] / (0.5 * params["track_width"])
    return float(max(1.0 - distance**2, 0.001))
