"""Get along the track: each step earns the way it covers along the centre line.

When to use: almost always, it is the default. The sum over a lap is the same for every car, so a faster lap collects
it sooner and loses less of it to the discount: the reward asks for exactly what the clock measures. Every step tells
how good it was, and line and speed are left to the car.
"""

STEPS_PER_SECOND = 15.0
SPEED_OF_REWARD_1 = 2.0

last = {"steps": float("inf"), "progress": 0.0}


def reward_function(params):
    """Return 1 for SPEED_OF_REWARD_1 along the centre line, 0 to 2; half of that with a wheel beside the road."""
    if params["steps"] <= last["steps"]:
        # A new episode, whose progress does not begin where the last one ended.
        last["progress"] = params["progress"]
    way = (params["progress"] - last["progress"]) / 100.0 * params["track_length"]
    last["steps"] = params["steps"]
    last["progress"] = params["progress"]

    reward = way * STEPS_PER_SECOND / SPEED_OF_REWARD_1
    reward = min(max(reward, 0.0), 2.0)
    if params["is_offtrack"]:
        return 0.0
    if not params["all_wheels_on_track"]:
        reward *= 0.5
    return float(reward)
