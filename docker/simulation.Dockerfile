# ROS 2 Jazzy, Gazebo Harmonic and all packages of the workspace, built with colcon.
#   docker build -f docker/simulation.Dockerfile -t deepracer-simulation .
FROM ros:jazzy-ros-base

SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
ENV DEBIAN_FRONTEND=noninteractive PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

RUN apt-get update && apt-get install -y --no-install-recommends \
      python3-pip \
      ros-jazzy-ackermann-steering-controller \
      ros-jazzy-controller-manager \
      ros-jazzy-gz-ros2-control \
      ros-jazzy-joint-state-broadcaster \
      ros-jazzy-joint-state-topic-hardware-interface \
      ros-jazzy-joy \
      ros-jazzy-robot-state-publisher \
      ros-jazzy-ros-gz \
      ros-jazzy-ros2bag \
      ros-jazzy-rosbag2-storage-mcap \
      ros-jazzy-rqt-console \
      ros-jazzy-rqt-gui \
      ros-jazzy-rqt-plot \
      ros-jazzy-rqt-reconfigure \
      ros-jazzy-rqt-runtime-monitor \
      ros-jazzy-rviz2 \
      ros-jazzy-teleop-twist-joy \
      ros-jazzy-twist-mux \
      ros-jazzy-xacro \
    && rm -rf /var/lib/apt/lists/*

# The image brings a user 1000 of its own. A build argument fits the owner of the mounted models.
ARG USER_ID=1000
RUN userdel --remove ubuntu && useradd --create-home --uid "${USER_ID}" deepracer

# Before the sources, so that an edit of ours does not download them again. ROS's messages are compiled for numpy 1,
# so numpy stays there, with the releases of OpenCV and ml_dtypes that go with it; colcon needs an older setuptools.
COPY constraints.txt /opt/constraints.txt
RUN sed -i -E '/^(numpy|opencv-python-headless|ml_dtypes|setuptools)==/d' /opt/constraints.txt \
    && printf 'numpy<2\nsetuptools<80\n' >> /opt/constraints.txt \
    && export PIP_BREAK_SYSTEM_PACKAGES=1 \
    && torch="$(sed -n 's/^torch==//p' /opt/constraints.txt)" \
    && pip install --ignore-installed -c /opt/constraints.txt --index-url https://download.pytorch.org/whl/cpu \
         --extra-index-url https://pypi.org/simple "torch==${torch}" \
    && pip install --ignore-installed -c /opt/constraints.txt \
         annotated-types av gymnasium jinja2 llvmlite markupsafe matplotlib numba numpy onnx onnxruntime \
         opencv-python-headless pillow pydantic PyYAML rich safetensors scipy shapely tensorboard typer

COPY src /opt/workspace/src
COPY plugins /opt/workspace/plugins
RUN cd /opt/workspace && source /opt/ros/jazzy/setup.bash \
    && colcon build --merge-install --install-base /opt/deepracer \
    && rm -rf build log

COPY --chmod=755 docker/entrypoint docker/healthy /usr/local/bin/
USER deepracer
WORKDIR /home/deepracer
# colcon puts the command `deepracer` beside the nodes.
ENV DEEPRACER_HOME=/home/deepracer/.deepracer PATH=/opt/deepracer/lib/deepracer_training:${PATH}
# Made here, so that a new named volume belongs to the user.
RUN mkdir "${DEEPRACER_HOME}"
VOLUME /home/deepracer/.deepracer

ENTRYPOINT ["entrypoint"]
CMD ["ros2", "launch", "deepracer_bringup", "simulation.launch.py", "simulator:=gazebo", "headless:=true"]
HEALTHCHECK --interval=30s --timeout=20s --start-period=90s --retries=3 CMD ["healthy", "gazebo_node"]
