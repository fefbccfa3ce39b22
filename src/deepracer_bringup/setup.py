"""Installs deepracer_bringup with pip and with colcon (ament_python)."""

from glob import glob

from setuptools import find_packages, setup

PACKAGE = "deepracer_bringup"

setup(
    name=PACKAGE,
    version="0.1.0",
    description="The door: launch files, configuration, robot description, RViz and rqt layouts.",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(exclude=["test"]),
    # What makes the installation prefix a valid ament prefix.
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        *(
            (f"share/{PACKAGE}/{folder}", sorted(glob(f"{folder}/*.*")))
            for folder in ("launch", "config", "urdf", "rviz", "rqt")
        ),
    ],
    install_requires=[
        "deepracer_training",
        "deepracer_inference",
        "deepracer_sim",
        "pyyaml>=6.0",
    ],
    zip_safe=False,
)
