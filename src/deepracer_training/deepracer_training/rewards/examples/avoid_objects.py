"""Get along the track and past what stands or drives on it: progress, minus a toll on a line that leads into something.

When to use: object avoidance and head-to-head. A crash ends the episode, but under a discount that looks a few seconds
ahead this costs less than driving slowly would; so it has a price of its own. And the car learns of it late; so a step
on the same line as the next object costs a toll, the higher the nearer it is. Which way to pass is left to the car.
"""

STEPS_PER_SECOND = 15.0
SPEED_OF_REWARD_1 = 2.0
LOOK_AHEAD = 1.8
LOOK_BACK = 0.7
BOX_CLEARANCE = 0.45
CAR_CLEARANCE = 0.36
TOLL = 1.5
CRASH = -6.0

last = {"steps": float("inf"), "progress": 0.0}


def reward_function(params):
    """Return 1 for SPEED_OF_REWARD_1 along the centre line, 0 to 2, minus the toll; CRASH for the end of it."""
    if params["steps"] <= last["steps"]:
        # A new episode, whose progress does not begin where the last one ended.
        last["progress"] = params["progress"]
    way = (params["progress"] - last["progress"]) / 100.0 * params["track_length"]
    last["steps"] = params["steps"]
    last["progress"] = params["progress"]

    if params["is_crashed"] or params["is_offtrack"]:
        return CRASH
    reward = min(max(way * STEPS_PER_SECOND / SPEED_OF_REWARD_1, 0.0), 2.0)
    if not params["all_wheels_on_track"]:
        reward *= 0.5
    return float(reward - TOLL * threat(params))


def threat(params):
    """Return 0 with a free way, up to 1 right behind the next object and on the same line, or cutting in on the last.

    What has just been passed is beside the car and out of its sight; who turns in at once hits it with the rear.
    """
    if not params["objects_location"]:
        return 0.0
    last_one, next_one = params["closest_objects"]
    here, lap = params["projection_distance"], params["track_length"]
    ahead = (params["objects_distance"][next_one] - here) % lap
    behind = (here - params["objects_distance"][last_one]) % lap
    return max(
        closeness(ahead, LOOK_AHEAD) * nearness(params, next_one),
        closeness(behind, LOOK_BACK) * nearness(params, last_one),
    )


def closeness(gap, reach):
    """Return 1 beside an object, 0 farther than `reach` along the lap."""
    return max(1.0 - gap / reach, 0.0)


def nearness(params, index):
    """Return 1 on the line of an object, 0 with its clearance beside it; cars drive and are narrower than boxes."""
    beside = abs(side(params) - object_side(params, index))
    clearance = CAR_CLEARANCE if params["objects_speed"][index] > 0.0 else BOX_CLEARANCE
    return max(1.0 - (beside / clearance) ** 2, 0.0)


def side(params):
    """Return how far the car is left of the centre line, m."""
    distance = params["distance_from_center"]
    return distance if params["is_left_of_center"] else -distance


def object_side(params, index):
    """Return how far an object is left of the centre line, m."""
    distance = params["objects_distance_from_center"][index]
    return distance if params["objects_left_of_center"][index] else -distance
