"""A folder that looks like /sys to `PwmBoard`: for `vehicle:=simulated` and for tests."""

from __future__ import annotations

from pathlib import Path

from deepracer_inference.errors import UserError
from deepracer_inference.vehicle import Pwm

CHIP = "pwmchip0"
GPIO_LINES = 78


def make_board(sysfs: Path, pwm: Pwm) -> None:
    """Make the folder of a board whose two channels are exported already, at rest and switched off.

    Args:
        sysfs: Where /sys is imitated; made if it is missing, and an earlier board there starts anew.
        pwm: Of the vehicle file: bus, channels and enable pin.
    """
    bus = pwm.bus or "i2c-0"
    chip = sysfs / "devices" / bus / f"{bus.removeprefix('i2c-')}-0040" / "pwm" / CHIP
    _fill(chip, {"npwm": "16", "export": "", "unexport": ""})
    for channel in (pwm.steering.channel, pwm.throttle.channel):
        _fill(chip / f"pwm{channel}", {"period": "0", "duty_cycle": "0", "enable": "0"})
    if pwm.enable_gpio:
        number = pwm.enable_gpio[-1]
        gpio = sysfs / "class" / "gpio"
        _fill(gpio, {"export": "", "unexport": ""})
        base = number - number % GPIO_LINES
        _fill(gpio / f"gpiochip{base}", {"base": str(base), "ngpio": str(GPIO_LINES)})
        _fill(gpio / f"gpio{number}", {"direction": "in", "value": "1"})
    # Last, because a driver may be waiting for it.
    _link(sysfs / "class" / "pwm" / CHIP, chip)


def read_pulses(sysfs: Path, pwm: Pwm) -> tuple[int, int] | None:
    """Return the pulses (ns) that a board sends to servo and speed controller; None while it sends none.

    Raises:
        UserError: There is no board in this folder.
    """
    chip = sysfs / "class" / "pwm" / CHIP
    channels = [chip / f"pwm{channel}" for channel in (pwm.steering.channel, pwm.throttle.channel)]
    try:
        if any(_number(channel / "enable") != 1 for channel in channels):
            return None
        if pwm.enable_gpio and _number(sysfs / "class" / "gpio" / f"gpio{pwm.enable_gpio[-1]}" / "value") != 0:
            return None
        steering, throttle = (_number(channel / "duty_cycle") for channel in channels)
    except OSError as error:
        raise UserError(f"There is no simulated board in {sysfs}: {error.strerror} ({error.filename})") from error
    return steering, throttle


def _number(path: Path) -> int:
    return int((path.read_text().split() or ["0"])[0])


def _fill(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(f"{text}\n")


def _link(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target)
