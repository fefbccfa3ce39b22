"""The PWM board through Linux sysfs: one driver for the DeepRacer's own chip and for a PCA9685 on a Raspberry Pi.

Documentation/ABI/testing/sysfs-class-pwm of the kernel: `export` makes a channel's folder, `period` and `duty_cycle`
are in nanoseconds, and `duty_cycle` must never exceed `period`.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

from deepracer_inference.drive.claim import Claim
from deepracer_inference.errors import DeepRacerError, UserError
from deepracer_inference.vehicle import LONGEST_PULSE_NS, SHORTEST_PULSE_NS, Pwm

SYSFS = Path("/sys")
EXPORT_TIMEOUT_S = 1.0
"""The folder is there at once, but udev needs a moment to give it to the user's group."""

POLL_S = 0.02


class PwmBoard:
    """Two open outputs, steering and throttle; neutral when opened and when closed."""

    def __init__(self, pwm: Pwm, neutral: tuple[int, int], sysfs: Path = SYSFS) -> None:
        """Find the chip, set both outputs to neutral and switch them on.

        Args:
            pwm: Of the vehicle file.
            neutral: Pulses of straight wheels and a resting motor (ns).
            sysfs: Mount point; another folder for a simulated board.

        Raises:
            UserError: There is no such chip, this user may not write to it, or another process drives it.
            DeepRacerError: The board does not answer.
        """
        self.neutral = neutral
        self._claim: Claim | None = None
        self._files: list[int] = []
        self._paths: list[Path] = []
        _check_pulses(*neutral)
        chip = find_chip(sysfs, pwm.bus)
        try:
            folders = [_export(chip, channel) for channel in (pwm.steering.channel, pwm.throttle.channel)]
            # Before the first pulse: the car that is on its way is not to be disturbed.
            self._claim = Claim(chip)
            for folder, pulse in zip(folders, neutral, strict=True):
                _set_period(folder, pwm.period_ns, pulse)
                self._paths.append(folder / "duty_cycle")
                self._files.append(os.open(folder / "duty_cycle", os.O_WRONLY | os.O_CLOEXEC))
                _store(folder / "enable", 1)
            _set_gpio(sysfs, pwm.enable_gpio, 0)
        except OSError as error:
            self._release()
            raise _explain(error, chip) from error
        except BaseException:
            self._release()
            raise

    @property
    def files(self) -> tuple[int, ...]:
        """Open file descriptors of the two pulse lengths, steering first; for the guard to inherit."""
        return tuple(self._files)

    def write(self, steering_ns: int, throttle_ns: int) -> None:
        """Set both pulse lengths (ns); the board sends them with its next period.

        Raises:
            DeepRacerError: The board has gone, or a pulse is outside of what any servo takes.
        """
        _check_pulses(steering_ns, throttle_ns)
        if not self._files:
            raise DeepRacerError("The servo board is closed")
        # Throttle first: if the board fails between the two, the motor has its newest order.
        self._write(1, throttle_ns)
        self._write(0, steering_ns)

    def write_neutral(self) -> None:
        """Straight wheels, resting motor."""
        self.write(*self.neutral)

    def close(self) -> None:
        """Write neutral and let go; errors are of no use here, because there is nothing left to try.

        The outputs stay on: without pulses, many speed controllers beep or drop their arming, and some servos twitch.
        """
        if self._files:
            with suppress(DeepRacerError):
                self.write_neutral()
        self._release()

    def _write(self, index: int, pulse_ns: int) -> None:
        try:
            os.pwrite(self._files[index], b"%d\n" % pulse_ns, 0)
        except OSError as error:
            raise _explain(error, self._paths[index]) from error

    def _release(self) -> None:
        for file in self._files:
            os.close(file)
        self._files.clear()
        if self._claim:
            self._claim.release()
            self._claim = None


def find_chip(sysfs: Path, bus: str | None) -> Path:
    """Return the PWM chip on a bus, or the only one.

    Raises:
        UserError: There is none, or it is not clear which.
    """
    folder = sysfs / "class" / "pwm"
    chips = {chip: str(chip.resolve()) for chip in sorted(folder.glob("pwmchip*"))}
    if not chips:
        raise UserError(
            f"There is no PWM chip in {folder}; connect the servo board and load its driver (docs/hardware.md)"
        )
    fitting = [chip for chip, path in chips.items() if bus is None or bus in path.split("/")]
    if len(fitting) == 1:
        return fitting[0]
    found = "; ".join(f"{chip.name} is {path}" for chip, path in chips.items())
    wanted = f"on bus {bus}" if bus else "without pwm.bus in the vehicle file"
    raise UserError(f"{len(fitting) or 'No'} PWM chips in {folder} are possible {wanted}, one is expected: {found}")


def wait_for_chip(sysfs: Path, bus: str | None, timeout_s: float, stop: threading.Event) -> None:
    """Return when `find_chip` finds one, or after a time, or when told to stop."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and not stop.is_set():
        with suppress(UserError):
            find_chip(sysfs, bus)
            return
        stop.wait(POLL_S)


def _export(chip: Path, channel: int) -> Path:
    folder = chip / f"pwm{channel}"
    if not folder.exists():
        _store(chip / "export", channel)
    _await_writable(folder / "duty_cycle")
    return folder


def _await_writable(file: Path) -> None:
    deadline = time.monotonic() + EXPORT_TIMEOUT_S
    while not os.access(file, os.W_OK):
        if time.monotonic() > deadline:
            if file.parent.exists():
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
            raise DeepRacerError(f"The kernel was asked to export {file.parent}, but it has not appeared")
        time.sleep(POLL_S)


def _set_period(folder: Path, period_ns: int, pulse_ns: int) -> None:
    """Set period and pulse; the kernel refuses a period shorter than the pulse that is set."""
    try:
        _store(folder / "period", period_ns)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        _store(folder / "duty_cycle", 0)
        _store(folder / "period", period_ns)
    _store(folder / "duty_cycle", pulse_ns)


def _set_gpio(sysfs: Path, numbers: tuple[int, ...], value: int) -> None:
    if not numbers:
        return
    folder = sysfs / "class" / "gpio"
    ranges = []
    for chip in folder.glob("gpiochip*"):
        base, count = (int((chip / name).read_text()) for name in ("base", "ngpio"))
        ranges.append(range(base, base + count))
    number = next((each for each in numbers if any(each in lines for lines in ranges)), None)
    if number is None:
        raise UserError(
            f"None of the enable pins {', '.join(map(str, numbers))} of the vehicle file exists in {folder}; "
            "is this the right vehicle, and does the kernel have GPIO_SYSFS?"
        )
    pin = folder / f"gpio{number}"
    if not pin.exists():
        _store(folder / "export", number)
    for name in ("direction", "value"):
        _await_writable(pin / name)
    # One write sets direction and value, so that the pin is never an output of the wrong value.
    (pin / "direction").write_text("high" if value else "low")
    (pin / "value").write_text(str(value))


def _store(path: Path, value: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, b"%d\n" % value)
    finally:
        os.close(descriptor)


def _check_pulses(*pulses: int) -> None:
    for pulse in pulses:
        if not SHORTEST_PULSE_NS <= pulse <= LONGEST_PULSE_NS:
            raise DeepRacerError(
                f"A pulse of {pulse} ns was asked for, but {SHORTEST_PULSE_NS} to {LONGEST_PULSE_NS} ns is expected; "
                "calibrate again"
            )


def _explain(error: OSError, place: Path) -> DeepRacerError:
    path = error.filename or place
    if error.errno in (errno.EACCES, errno.EPERM):
        return UserError(f"This user may not write {path}; install the udev rule of docs/hardware.md")
    if error.errno == errno.EROFS:
        return UserError(f"{path} is read-only; in a container, mount /sys writable (docs/hardware.md)")
    if error.errno == errno.EBUSY:
        return UserError(f"{path} is in use by another program; end it first")
    return DeepRacerError(f"The servo board does not answer at {path}: {error.strerror}; check its cable and power")
