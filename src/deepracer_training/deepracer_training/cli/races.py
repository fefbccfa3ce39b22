"""The options that say what else is on the road, and the command `race`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deepracer_inference.errors import UserError
from deepracer_training.cli.output import JsonFlag, number, print_facts, print_json, print_table

if TYPE_CHECKING:
    from deepracer_sim.race_settings import BoxPosition, RaceSettings, RaceType
    from deepracer_training.racing import RaceResult

RaceTypeOption = Annotated[
    str | None,
    typer.Option(
        "--race-type",
        metavar="time_trial|object_avoidance|head_to_head",
        help="Kind of race: alone, among boxes, or among bot cars.",
    ),
]
ObjectsOption = Annotated[
    str | None,
    typer.Option(
        metavar="NUMBER|PLACES",
        help='How many boxes or bot cars (1 to 6), or where the boxes are, as AWS writes it: "0.23,-1;0.46,1" is '
        "the share of the lap, and 1 for the inner or -1 for the outer lane.",
    ),
]
BotSpeedOption = Annotated[float | None, typer.Option(min=0.0, max=4.0, help="Speed of the bot cars, m/s.")]

RACE_TYPES: tuple[RaceType, ...] = ("time_trial", "object_avoidance", "head_to_head")


def read_race(
    race_type: str | None, objects: str | None, bot_speed: float | None, default: RaceType = "time_trial"
) -> tuple[RaceType, RaceSettings | None]:
    """Read what --race-type, --objects and --bot-speed say.

    Args:
        race_type: None for `default`.
        objects: Number or places.
        bot_speed: m/s.
        default: The race type that holds without the option.

    Raises:
        UserError: They do not make sense, or not together.
    """
    from deepracer_inference.config import nearest
    from deepracer_sim.race_settings import BotSettings, BoxSettings, RaceSettings

    known = {name: name for name in RACE_TYPES}
    if race_type is not None and race_type not in known:
        raise UserError(f"There is no race type {race_type!r}; {nearest(race_type, RACE_TYPES)}")
    wanted = default if race_type is None else known[race_type]
    if wanted == "time_trial" and objects is not None:
        raise UserError("--objects needs --race-type object_avoidance or head_to_head; a time trial has none")
    if wanted != "head_to_head" and bot_speed is not None:
        raise UserError(f"--bot-speed needs --race-type head_to_head, but the race type is {wanted}")
    if wanted == "time_trial":
        return wanted, None
    count = None if objects is None or not objects.strip().isdecimal() else int(objects)
    if count is not None and not 1 <= count <= 6:
        raise UserError(f"--objects is {count}, but 1 to 6 are possible")
    if wanted == "object_avoidance":
        if objects is not None and count is None:
            return wanted, RaceSettings(boxes=BoxSettings(positions=_places(objects)))
        return wanted, RaceSettings(boxes=BoxSettings(number=count or 3))
    if objects is not None and count is None:
        raise UserError(f"--objects is {objects!r}, but for bot cars a number of 1 to 6 is expected")
    speed = BotSettings().speed if bot_speed is None else bot_speed
    return wanted, RaceSettings(bots=BotSettings(number=count or 3, speed=speed))


def describe_race(race: RaceSettings) -> str:
    """Say in a line what is on the road."""
    if race.boxes is not None:
        boxes = race.boxes
        where = f"{boxes.positions} places" if isinstance(boxes.positions, str) else "fixed places"
        return f"{boxes.count} boxes, {where}"
    bots = race.bots
    assert bots is not None
    return f"{bots.number} bot cars at {bots.speed:g} m/s, {'with' if bots.lane_change else 'without'} lane changes"


def _places(text: str) -> tuple[BoxPosition, ...]:
    from deepracer_sim.race_settings import BoxPosition

    lanes = {"1": "inner", "-1": "outer", "inner": "inner", "outer": "outer", "left": "left", "right": "right"}
    places = []
    for item in text.split(";"):
        share, _, lane = (part.strip() for part in item.partition(","))
        try:
            places.append(BoxPosition.model_validate({"at": float(share), "lane": lanes[lane]}))
        except (ValueError, KeyError) as error:
            raise UserError(
                f"--objects: {item!r} is no place of a box; expected are a share of the lap of 0.07 to 0.9 and a lane, "
                'as in "0.23,-1;0.46,1"'
            ) from error
    if len(places) > 6:
        raise UserError(f"--objects names {len(places)} boxes, but 1 to 6 are possible")
    return tuple(places)


def race(
    models: Annotated[list[str], typer.Argument(metavar="MODEL MODEL...", help="Models to race against each other.")],
    laps: Annotated[int, typer.Option(help="Laps of each car.")] = 3,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the grid and the surroundings.")] = 0,
    track: Annotated[str | None, typer.Option(help="The track; that of the first model when omitted.")] = None,
    penalty: Annotated[float, typer.Option(min=0.0, max=60.0, help="Time that hitting another car costs, s.")] = 5.0,
    video: Annotated[bool, typer.Option(help="Film the winner.")] = True,
    as_json: JsonFlag = False,
) -> None:
    """Race models against each other: each car drives its own policy, and all meet in one world."""
    from deepracer_training.cli.progress import show_share
    from deepracer_training.models.folder import ModelFolder

    folders = [ModelFolder.open(name) for name in models]
    with show_share(f"racing {', '.join(models)}") as on_step:
        from deepracer_sim.tracks.library import load_track
        from deepracer_training.race_files import write_race
        from deepracer_training.racing import race as run

        road = load_track(track or folders[0].config.track)
        result, racers = run(folders, laps=laps, seed=seed, road=road, collision_penalty_s=penalty, on_step=on_step)
        target = write_race(result, racers, road, video=video)
    if as_json:
        print_json(result.model_dump(mode="json") | {"folder": str(target)})
        return
    _print_race(result)
    files = {"figures": "race.json", "picture": "race.png", **({"video": "race.mp4"} if video else {})}
    print_facts({name: target / file for name, file in files.items()})


def _print_race(result: RaceResult) -> None:
    columns = ["place", "model", "grid", "laps", "time", "best lap", "crashes", "off-tracks"]
    rows = [
        [
            str(racer.place),
            racer.model,
            str(racer.grid),
            f"{racer.laps_completed} of {result.laps}",
            f"{racer.time_s:.2f} s" if racer.finished else f"out at {racer.progress:.0f} %",
            number(racer.best_lap_s, 2, " s"),
            str(racer.crash_count),
            str(racer.off_track_count),
        ]
        for racer in result.racers
    ]
    print_table(columns, rows, right=[name for name in columns if name != "model"])
