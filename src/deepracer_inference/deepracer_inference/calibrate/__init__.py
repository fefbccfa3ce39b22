"""Measuring a car: from pulses that are tried and what is read off to a calibration."""
