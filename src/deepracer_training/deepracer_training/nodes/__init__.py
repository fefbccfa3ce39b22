"""The ROS face of training and evaluation; nothing outside this folder imports rclpy."""
