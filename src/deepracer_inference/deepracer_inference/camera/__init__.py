"""Frames from a camera, a pipeline, a video or a folder of images: the newest one, with the time of its exposure."""
