"""AWS's `calibration.json`: the ends and the middle of both channels in nanoseconds, without any physical unit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import pydantic
from pydantic import Field

from deepracer_inference.calibration import Calibration, Pulse, nominal_calibration
from deepracer_inference.config import parse, parse_json
from deepracer_inference.errors import UserError
from deepracer_inference.files import read_text
from deepracer_inference.vehicle import PwmChannel, Vehicle


class _Channel(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="ignore", frozen=True)

    max: Pulse
    mid: Pulse
    min: Pulse
    polarity: Literal[-1, 1]

    def channel(self, number: int, name: str, source: str) -> PwmChannel:
        # AWS's own pages store the ends in either order.
        low, high = sorted((self.min, self.max))
        if not low < self.mid < high:
            raise UserError(
                f"{source}: Calibration.{name}.mid is {self.mid}, "
                f"but must lie between min {self.min} and max {self.max}"
            )
        return PwmChannel(channel=number, minimum_ns=low, middle_ns=self.mid, maximum_ns=high, polarity=self.polarity)


class _Channels(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="ignore", frozen=True)

    Servo: _Channel
    Motor: _Channel
    version: Annotated[int, Field(ge=1)] = 1


class _File(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="ignore", frozen=True)

    Calibration: _Channels


def read_aws_calibration(path: Path, vehicle: Vehicle) -> Calibration:
    """Take over AWS's calibration: true ends and middle, but angles and speeds as the vehicle file promises them.

    Raises:
        UserError: The file cannot be read or is not such a file.
    """
    source = str(path)
    content = parse(parse_json(read_text(path), source), _File, source).Calibration
    steering = content.Servo.channel(vehicle.pwm.steering.channel, "Servo", source)
    throttle = content.Motor.channel(vehicle.pwm.throttle.channel, "Motor", source)
    return nominal_calibration(vehicle, steering, throttle, "aws")


def aws_json(calibration: Calibration) -> str:
    """Return the text of AWS's file for a calibration; what AWS has no place for is left out."""
    right, left = calibration.steering[0].pulse_ns, calibration.steering[-1].pulse_ns
    throttle = calibration.throttle
    ahead = throttle.forward[-1].pulse_ns
    # A car that is not to drive backwards: AWS's file needs a pulse for it, so the next one to neutral.
    still = throttle.neutral_ns + (1000 if ahead < throttle.neutral_ns else -1000)
    back = throttle.reverse[-1].pulse_ns if throttle.reverse else still
    channels = {
        "Servo": (right, calibration.neutral[0], left),
        "Motor": (back, throttle.neutral_ns, ahead),
    }
    content = {
        name: {"max": max(low, high), "mid": middle, "min": min(low, high), "polarity": 1 if high > low else -1}
        for name, (low, middle, high) in channels.items()
    }
    return json.dumps({"Calibration": {**content, "version": 1}}, indent=2) + "\n"
