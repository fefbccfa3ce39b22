"""The track and the cars as markers for RViz."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import Point
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from deepracer_inference.vehicle import Geometry
from deepracer_sim.tracks.track import Track

ASPHALT = ColorRGBA(r=0.25, g=0.26, b=0.28, a=1.0)
WHITE = ColorRGBA(r=0.95, g=0.95, b=0.95, a=1.0)
YELLOW = ColorRGBA(r=0.95, g=0.75, b=0.1, a=1.0)
RED = ColorRGBA(r=0.85, g=0.2, b=0.15, a=1.0)
BORDER_WIDTH = 0.03
CENTER_WIDTH = 0.02
LIFT = 0.002
"""Lines lie this far above the surface (m), or they would flicker through it."""


def track_markers(track: Track, frame: str) -> MarkerArray:
    """Return surface, borders and centre line of a track.

    Args:
        track: The road.
        frame: Frame of its coordinates.
    """
    left, right, center = (_closed(line) for line in (track.left, track.right, track.center))
    surface = _marker(frame, "surface", Marker.TRIANGLE_LIST, ASPHALT, 1.0)
    corners = np.stack([left[:-1], right[:-1], right[1:], left[:-1], right[1:], left[1:]], axis=1)
    surface.points = _points(corners.reshape(-1, 2), 0.0)
    markers = [surface]
    for name, line in (("left border", left), ("right border", right)):
        border = _marker(frame, name, Marker.LINE_STRIP, WHITE, BORDER_WIDTH)
        border.points = _points(line, LIFT)
        markers.append(border)
    middle = _marker(frame, "center line", Marker.LINE_LIST, YELLOW, CENTER_WIDTH)
    dashes = len(center) // 2 * 2
    middle.points = _points(center[:dashes], LIFT)
    return MarkerArray(markers=[*markers, middle])


def car_markers(moments: list[Odometry], geometry: Geometry) -> MarkerArray:
    """Return one box per car, where its odometry says that it is."""
    markers = []
    for car, odometry in enumerate(moments):
        marker = _marker(odometry.header.frame_id, "cars", Marker.CUBE, RED, geometry.width)
        marker.id = car
        marker.header.stamp = odometry.header.stamp
        position, marker.pose.orientation = odometry.pose.pose.position, odometry.pose.pose.orientation
        marker.pose.position = Point(x=position.x, y=position.y, z=0.5 * geometry.height)
        marker.scale.x, marker.scale.z = geometry.length, geometry.height
        markers.append(marker)
    return MarkerArray(markers=markers)


def _marker(frame: str, namespace: str, kind: int, color: ColorRGBA, width: float) -> Marker:
    marker = Marker(ns=namespace, type=kind, action=Marker.ADD, color=color)
    marker.header.frame_id = frame
    marker.pose.orientation.w = 1.0
    marker.scale.x = marker.scale.y = marker.scale.z = width
    return marker


def _closed(line: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.vstack([line, line[:1]])


def _points(rows: NDArray[np.float64], z: float) -> list[Point]:
    return [Point(x=x, y=y, z=z) for x, y in rows.tolist()]
