"""Launch files and configuration for ROS 2."""
