"""Installs deepracer_training with pip and with colcon (ament_python)."""

from setuptools import find_packages, setup

PACKAGE = "deepracer_training"

setup(
    name=PACKAGE,
    version="0.1.0",
    description="The school: models, reward functions, PPO, evaluation, reports and the deepracer command.",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(exclude=["test"]),
    package_data={PACKAGE: ["rewards/examples/*.py", "report/*.html", "py.typed"]},
    # What makes the installation prefix a valid ament prefix.
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        # Where `ros2 run` and launch files look; console scripts get there with colcon, but not with pip.
        (f"lib/{PACKAGE}", ["scripts/trainer_node", "scripts/evaluation_node"]),
    ],
    install_requires=[
        "av>=14",
        "deepracer_inference",
        "deepracer_sim",
        "gymnasium>=1.0",
        "jinja2>=3.1",
        "llvmlite>=0.44",
        "markupsafe>=2.1",
        "matplotlib>=3.10",
        "numba>=0.61",
        "numpy>=1.26,<2.3",
        "onnx>=1.17",
        "onnxruntime>=1.20",
        "opencv-python-headless>=4.8,<5",
        "optuna>=4",
        "pillow>=10",
        "pydantic>=2.10",
        "rich>=13",
        "safetensors>=0.5",
        "scipy>=1.14",
        "tensorboard>=2.18",
        "torch>=2.6",
        "typer>=0.15",
    ],
    entry_points={"console_scripts": ["deepracer = deepracer_training.cli.main:main"]},
    zip_safe=False,
)
