"""Installs deepracer_sim with pip and with colcon (ament_python)."""

from setuptools import find_packages, setup

PACKAGE = "deepracer_sim"

setup(
    name=PACKAGE,
    version="0.1.0",
    description="The world: tracks, dynamics, camera, embedded simulator and race rules.",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(exclude=["test"]),
    package_data={PACKAGE: ["tracks/library/*.yaml", "py.typed"]},
    # What makes the installation prefix a valid ament prefix.
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        # Where `ros2 run` and launch files look; console scripts get there with colcon, but not with pip.
        (f"lib/{PACKAGE}", ["scripts/board_node", "scripts/gazebo_node", "scripts/simulator_node"]),
    ],
    install_requires=[
        "annotated-types>=0.6",
        "deepracer_inference",
        "llvmlite>=0.44",
        "numba>=0.61",
        "numpy>=1.26,<2.3",
        "opencv-python-headless>=4.8,<5",
        "pydantic>=2.10",
        "scipy>=1.14",
        "shapely>=2.1",
    ],
    zip_safe=False,
)
