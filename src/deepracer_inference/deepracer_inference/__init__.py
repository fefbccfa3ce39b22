"""What the car is and what runs on it: vehicle file, observation, action space, policy file and runtime.

Only the exceptions are handed on here. Everything else is imported from its own module, so that a command line which
needs no camera and no network does not pay for loading OpenCV and onnxruntime.
"""

from deepracer_inference.errors import DeepRacerError, UserError

__all__ = ["DeepRacerError", "UserError"]
