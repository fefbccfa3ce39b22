"""The PWM board in a folder that looks like /sys, and the guard that outlives its driver, in real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from deepracer_inference.calibrate.bench import BoardBench
from deepracer_inference.drive.fake_board import CHIP, make_board, read_pulses
from deepracer_inference.drive.guard import Guard
from deepracer_inference.drive.pwm import PwmBoard, find_chip
from deepracer_inference.errors import DeepRacerError, UserError
from deepracer_inference.vehicle import Pwm, load_vehicle

PWM = load_vehicle("deepracer").pwm
NEUTRAL = (1_450_000, 1_446_000)
PATIENCE_S = 30.0


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    make_board(tmp_path, PWM)
    return tmp_path


@pytest.fixture
def chip(sysfs: Path) -> Path:
    return sysfs / "class" / "pwm" / CHIP


def until(condition: Callable[[], bool], within_s: float = PATIENCE_S) -> float:
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < within_s
        time.sleep(0.002)
    return time.monotonic() - begin


def test_a_board_is_neutral_and_on_when_opened_and_neutral_when_closed(sysfs: Path, chip: Path) -> None:
    assert read_pulses(sysfs, PWM) is None
    board = PwmBoard(PWM, NEUTRAL, sysfs)
    assert read_pulses(sysfs, PWM) == NEUTRAL
    assert [(chip / f"pwm{channel}" / "period").read_text() for channel in (0, 1)] == ["20000000\n"] * 2
    board.write(1_200_000, 1_603_500)
    # The vehicle file has the throttle on channel 0 and the steering on channel 1.
    assert (chip / "pwm0" / "duty_cycle").read_text().strip() == "1603500"
    assert (chip / "pwm1" / "duty_cycle").read_text().strip() == "1200000"
    board.write(900_000, 1_446_000)
    assert read_pulses(sysfs, PWM) == (900_000, 1_446_000), "also with a digit less"
    board.close()
    assert read_pulses(sysfs, PWM) == NEUTRAL
    board.close()


def test_the_enable_pin_is_the_one_that_this_kernel_has(sysfs: Path) -> None:
    gpio = sysfs / "class" / "gpio"
    PwmBoard(PWM, NEUTRAL, sysfs).close()
    assert (gpio / "gpio514" / "value").read_text() == "0", "0 switches it on"
    assert (gpio / "gpio514" / "direction").read_text() == "low"
    assert not (gpio / "gpio436").exists()
    (next(gpio.glob("gpiochip*")) / "base").write_text("1000")
    with pytest.raises(UserError, match="None of the enable pins 436, 514"):
        PwmBoard(PWM, NEUTRAL, sysfs)


def test_channels_are_exported_and_waited_for(sysfs: Path, chip: Path) -> None:
    for channel in (0, 1):
        (chip / f"pwm{channel}").rename(chip / f"hidden{channel}")

    def asked_for(channel: int) -> bool:
        return (chip / "export").read_text().strip().endswith(str(channel))

    def kernel() -> None:
        for channel in (1, 0):
            until(partial(asked_for, channel))
            (chip / f"hidden{channel}").rename(chip / f"pwm{channel}")

    thread = threading.Thread(target=kernel)
    thread.start()
    board = PwmBoard(PWM, NEUTRAL, sysfs)
    thread.join()
    assert read_pulses(sysfs, PWM) == NEUTRAL
    board.close()


def test_the_enable_pin_is_exported_and_waited_for(sysfs: Path) -> None:
    gpio = sysfs / "class" / "gpio"
    (gpio / "gpio514").rename(gpio / "hidden")

    def kernel() -> None:
        until(lambda: (gpio / "export").read_text().strip() == "514")
        (gpio / "hidden").rename(gpio / "gpio514")

    thread = threading.Thread(target=kernel)
    thread.start()
    board = PwmBoard(PWM, NEUTRAL, sysfs)
    thread.join()
    assert read_pulses(sysfs, PWM) == NEUTRAL
    board.close()


def test_the_chip_is_found_by_its_bus(sysfs: Path) -> None:
    other = sysfs / "devices" / "platform" / "pwm" / "pwmchip7"
    other.mkdir(parents=True)
    (sysfs / "class" / "pwm" / "pwmchip7").symlink_to(other)
    assert find_chip(sysfs, "i2c-0").name == CHIP
    with pytest.raises(UserError, match=r"No PWM chips .* on bus i2c-1, one is expected: .*pwmchip7 is "):
        find_chip(sysfs, "i2c-1")
    with pytest.raises(UserError, match=r"2 PWM chips .* without pwm.bus in the vehicle file"):
        find_chip(sysfs, None)


def test_no_chip_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no PWM chip in .*connect the servo board and load its driver"):
        PwmBoard(PWM, NEUTRAL, tmp_path)


def test_an_unplugged_board_is_said_in_one_line(sysfs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = PwmBoard(PWM, NEUTRAL, sysfs)

    def gone(*_: object) -> int:
        raise OSError(121, "Remote I/O error")

    monkeypatch.setattr(os, "pwrite", gone)
    with pytest.raises(DeepRacerError, match=r"does not answer at .*/pwm0/duty_cycle: Remote I/O"):
        board.write(*NEUTRAL)
    board.close()


@pytest.mark.parametrize(
    ("number", "message"), [(13, "install the udev rule"), (30, "is read-only"), (16, "is in use by another program")]
)
def test_a_board_that_refuses_is_explained(
    sysfs: Path, monkeypatch: pytest.MonkeyPatch, number: int, message: str
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number), "period")

    monkeypatch.setattr(os, "write", refuse)
    with pytest.raises(UserError, match=message):
        PwmBoard(PWM, NEUTRAL, sysfs)


@pytest.mark.parametrize("pulse", [0, 499_999, 2_500_001, 20_000_000])
def test_pulses_that_no_servo_takes_are_refused(sysfs: Path, pulse: int) -> None:
    board = PwmBoard(PWM, NEUTRAL, sysfs)
    with pytest.raises(DeepRacerError, match="calibrate again"):
        board.write(1_450_000, pulse)
    assert read_pulses(sysfs, PWM) == NEUTRAL
    board.close()


def test_the_guard_is_silent_while_it_hears_of_the_driver(sysfs: Path) -> None:
    board = PwmBoard(PWM, NEUTRAL, sysfs)
    guard = Guard(board, timeout_s=30.0)
    board.write(1_300_000, 1_600_000)
    for _ in range(100_000):
        guard.beat()  # Also more than a pipe holds does not hold up the driver.
    assert read_pulses(sysfs, PWM) == (1_300_000, 1_600_000)
    guard.close()
    assert read_pulses(sysfs, PWM) == NEUTRAL
    board.close()


def test_the_guard_writes_neutral_when_the_driver_hangs(sysfs: Path) -> None:
    board = PwmBoard(PWM, NEUTRAL, sysfs)
    guard = Guard(board, timeout_s=0.05)
    board.write(1_300_000, 1_600_000)
    until(lambda: read_pulses(sysfs, PWM) == NEUTRAL)
    board.write(1_300_000, 1_600_000)
    until(lambda: read_pulses(sysfs, PWM) == NEUTRAL)
    guard.close()
    board.close()


def test_a_dead_guard_is_noticed(sysfs: Path) -> None:
    board = PwmBoard(PWM, NEUTRAL, sysfs)
    guard = Guard(board, timeout_s=30.0)
    os.kill(guard.pid, signal.SIGKILL)
    os.waitpid(guard.pid, 0)
    with pytest.raises(DeepRacerError, match=r"guard .* has died"):
        guard.beat()
    guard.close()
    board.close()


def test_the_bench_runs_no_motor_without_a_guard(sysfs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guards: list[Guard] = []

    def guarded(board: PwmBoard, timeout_s: float) -> Guard:
        guards.append(Guard(board, timeout_s))
        return guards[0]

    monkeypatch.setattr("deepracer_inference.calibrate.bench.Guard", guarded)
    with BoardBench(load_vehicle("deepracer"), NEUTRAL, sysfs) as bench:
        os.kill(guards[0].pid, signal.SIGKILL)
        os.waitpid(guards[0].pid, 0)
        with pytest.raises(DeepRacerError, match=r"guard .* has died"):
            bench.run(1_450_000, 1_600_000, 0.0)


def running(folder: Path, program: str) -> subprocess.Popen[str]:
    """Start a program named `driver` in a session of its own, and return when it says `driving`."""
    (folder / "driver").write_text(textwrap.dedent(program))
    process = subprocess.Popen(
        [sys.executable, str(folder / "driver")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert process.stdout and process.stdout.readline() == "driving\n"
    return process


def bench_program(sysfs: Path) -> str:
    """Run the motor, and steer to the right when asked to."""
    return f"""
        import time
        from pathlib import Path
        from deepracer_inference.calibrate import bench
        from deepracer_inference.errors import UserError
        from deepracer_inference.vehicle import load_vehicle

        bench.LONGEST_RUN_S = 1000.0
        with bench.BoardBench(load_vehicle("deepracer"), {NEUTRAL}, Path({str(sysfs)!r})) as car:
            print("driving", flush=True)
            try:
                car.run(1450000, 1600000, 1000.0)
            except UserError as error:
                print(error, flush=True)
            car.steer(1300000)
            time.sleep(1000)
    """


def test_a_bench_that_hangs_lets_the_motor_go_and_comes_back_without_it(sysfs: Path) -> None:
    bench = running(sysfs, bench_program(sysfs))
    until(lambda: read_pulses(sysfs, PWM) == (1_450_000, 1_600_000))
    os.kill(bench.pid, signal.SIGSTOP)
    until(lambda: read_pulses(sysfs, PWM) == NEUTRAL)
    os.kill(bench.pid, signal.SIGCONT)
    assert bench.stdout and "this computer stood still for" in bench.stdout.readline()
    until(lambda: read_pulses(sysfs, PWM) == (1_300_000, 1_446_000))
    os.kill(bench.pid, signal.SIGSTOP)
    until(lambda: read_pulses(sysfs, PWM) == NEUTRAL)
    os.kill(bench.pid, signal.SIGCONT)
    # What a person reads off the wheels now is what was asked for.
    until(lambda: read_pulses(sysfs, PWM) == (1_300_000, 1_446_000))
    os.killpg(bench.pid, signal.SIGKILL)
    until(lambda: read_pulses(sysfs, PWM) == NEUTRAL)
    assert bench.stderr and "[guard] no sign of life for 80 ms: neutral" in bench.stderr.read()
    bench.wait()


def test_a_board_has_one_driver_and_the_next_one_is_told_which(sysfs: Path) -> None:
    bench = running(sysfs, bench_program(sysfs))
    until(lambda: read_pulses(sysfs, PWM) == (1_450_000, 1_600_000))
    with pytest.raises(UserError, match=rf"is driven by driver \(process {bench.pid}\) already; end that first"):
        PwmBoard(PWM, NEUTRAL, sysfs)
    assert read_pulses(sysfs, PWM) == (1_450_000, 1_600_000), "the first one is not disturbed"
    os.kill(bench.pid, signal.SIGSTOP)
    until(lambda: read_pulses(sysfs, PWM) == NEUTRAL)
    with pytest.raises(UserError, match=rf"process {bench.pid}"):
        PwmBoard(PWM, NEUTRAL, sysfs)
    bench.kill()
    bench.wait()
    # Its guard may still be there.
    PwmBoard(PWM, NEUTRAL, sysfs).close()


def test_a_guard_holds_no_board(sysfs: Path) -> None:
    board = PwmBoard(PWM, NEUTRAL, sysfs)
    guard = Guard(board, timeout_s=30.0)
    board.close()
    other = running(sysfs, bench_program(sysfs))
    with pytest.raises(UserError, match=rf"process {other.pid}"):
        PwmBoard(PWM, NEUTRAL, sysfs)
    guard.close()
    os.killpg(other.pid, signal.SIGKILL)
    other.communicate()


def test_neutral_after_kill_9_also_of_the_whole_process_group(sysfs: Path) -> None:
    driver = running(
        sysfs,
        f"""
        import time
        from pathlib import Path
        from deepracer_inference.drive.guard import Guard
        from deepracer_inference.drive.pwm import PwmBoard
        from deepracer_inference.vehicle import load_vehicle

        board = PwmBoard(load_vehicle("deepracer").pwm, {NEUTRAL}, Path({str(sysfs)!r}))
        guard = Guard(board, 30.0)
        board.write(1300000, 1600000)
        print("driving", flush=True)
        time.sleep(1000)
        """,
    )
    assert read_pulses(sysfs, PWM) == (1_300_000, 1_600_000)
    os.killpg(driver.pid, signal.SIGKILL)
    until(lambda: read_pulses(sysfs, PWM) == NEUTRAL)
    assert driver.stderr and driver.stderr.read() == "[guard] the driver has died: neutral\n"
    driver.wait()


def test_a_board_without_enable_pin(tmp_path: Path) -> None:
    pwm = Pwm.model_validate({**PWM.model_dump(), "enable_gpio": (), "bus": "i2c-1"})
    make_board(tmp_path, pwm)
    PwmBoard(pwm, NEUTRAL, tmp_path).close()
    assert read_pulses(tmp_path, pwm) == NEUTRAL
    assert not (tmp_path / "class" / "gpio").exists()
