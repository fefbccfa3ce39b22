# What runs on the car, for amd64 and arm64: no simulator, no torch, no numba.
#   docker buildx build -f docker/car.Dockerfile --platform linux/amd64,linux/arm64 -t deepracer-car .
FROM ros:jazzy-ros-core

SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
ENV DEBIAN_FRONTEND=noninteractive PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

RUN apt-get update && apt-get install -y --no-install-recommends \
      python3-colcon-common-extensions \
      python3-pip \
      ros-jazzy-ackermann-steering-controller \
      ros-jazzy-controller-manager \
      ros-jazzy-joint-state-broadcaster \
      ros-jazzy-joint-state-topic-hardware-interface \
      ros-jazzy-joy \
      ros-jazzy-robot-state-publisher \
      ros-jazzy-ros2bag \
      ros-jazzy-rosbag2-storage-mcap \
      ros-jazzy-teleop-twist-joy \
      ros-jazzy-twist-mux \
      ros-jazzy-xacro \
    && rm -rf /var/lib/apt/lists/*

ARG USER_ID=1000
RUN userdel --remove ubuntu && useradd --create-home --uid "${USER_ID}" --groups video,dialout deepracer

# As in the simulation image: ROS's messages are compiled for numpy 1, and colcon needs an older setuptools.
COPY constraints.txt /opt/constraints.txt
RUN sed -i -E '/^(numpy|opencv-python-headless|ml_dtypes|setuptools)==/d' /opt/constraints.txt \
    && printf 'numpy<2\nsetuptools<80\n' >> /opt/constraints.txt \
    && PIP_BREAK_SYSTEM_PACKAGES=1 pip install --ignore-installed -c /opt/constraints.txt \
         numpy onnxruntime opencv-python-headless pydantic PyYAML rich typer

COPY src/deepracer_inference /opt/workspace/src/deepracer_inference
COPY src/deepracer_bringup /opt/workspace/src/deepracer_bringup
RUN cd /opt/workspace && source /opt/ros/jazzy/setup.bash \
    && colcon build --merge-install --install-base /opt/deepracer \
    && rm -rf build log

COPY --chmod=755 docker/entrypoint docker/healthy /usr/local/bin/
USER deepracer
WORKDIR /home/deepracer
ENV DEEPRACER_HOME=/home/deepracer/.deepracer
RUN mkdir "${DEEPRACER_HOME}"
VOLUME /home/deepracer/.deepracer

ENTRYPOINT ["entrypoint"]
CMD ["ros2", "launch", "deepracer_bringup", "car.launch.py"]
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s --retries=3 CMD ["healthy", "drive_node"]
