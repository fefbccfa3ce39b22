"""Installs deepracer_inference with pip and with colcon (ament_python)."""

from setuptools import find_packages, setup

PACKAGE = "deepracer_inference"

setup(
    name=PACKAGE,
    version="0.1.0",
    description="The car: vehicle file, observation, action space, policy file and ONNX runtime.",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(exclude=["test"]),
    package_data={PACKAGE: ["vehicles/*.yaml", "nodes/*.xml", "py.typed"]},
    # What makes the installation prefix a valid ament prefix.
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        # Where `ros2 run` and launch files look; console scripts get there with colcon, but not with pip.
        (
            f"lib/{PACKAGE}",
            ["scripts/camera_node", "scripts/inference_node", "scripts/drive_node", "scripts/calibration_node"],
        ),
    ],
    install_requires=[
        "annotated-types>=0.6",
        "numpy>=1.26,<2.3",
        "onnxruntime>=1.20",
        "opencv-python-headless>=4.8,<5",
        "pydantic>=2.10",
        "pyyaml>=6.0",
    ],
    # What the terminal commands on a car need; the nodes do without.
    extras_require={"cli": ["rich>=13", "typer>=0.15"]},
    entry_points={"console_scripts": ["deepracer-car = deepracer_inference.cli.main:main"]},
    zip_safe=False,
)
