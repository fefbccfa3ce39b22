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
    package_data={PACKAGE: ["vehicles/*.yaml", "py.typed"]},
    # What makes the installation prefix a valid ament prefix.
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    install_requires=[
        "numpy>=1.26,<2.3",
        "onnxruntime>=1.20",
        "opencv-python-headless>=4.8,<5",
        "pydantic>=2.10",
        "pyyaml>=6.0",
    ],
    zip_safe=False,
)
