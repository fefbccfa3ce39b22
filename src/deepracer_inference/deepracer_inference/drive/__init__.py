"""From drive commands to pulses: the safety core, the PWM board in sysfs, and the guard that outlives the driver."""
