"""The ROS face of the simulator; nothing outside this folder imports rclpy."""
