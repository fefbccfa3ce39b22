"""Gazebo: worlds with our tracks, the car in it, and the lock-step that drives both."""
