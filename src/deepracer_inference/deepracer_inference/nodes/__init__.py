"""The ROS face of the car, and what the nodes of all packages share; nothing outside this folder imports rclpy."""
