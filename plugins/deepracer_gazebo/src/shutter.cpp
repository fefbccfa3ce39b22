// Copyright 2025 The maintainers of this repository
// SPDX-License-Identifier: Apache-2.0

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>

#include <gz/common/Event.hh>
#include <gz/msgs/boolean.pb.h>
#include <gz/plugin/Register.hh>
#include <gz/sim/EventManager.hh>
#include <gz/sim/System.hh>
#include <gz/sim/rendering/Events.hh>
#include <gz/transport/Node.hh>

namespace deepracer_gazebo
{
/// Holds the server's loop while the cameras take the pictures that `/camera_trigger` has asked for; one for all cars.
///
/// Without it the paused loop finds cameras that are still to be rendered and asks for a second rendering. If the time
/// goes on just before that one begins, gz-sim's Sensors system waits for the rendering thread for ever: its end wakes
/// `renderCv`, but not `updateTimeCv`, on which the loop waits (gz-sim 8.14, Sensors.cc; seen with four cars on a
/// busy machine).
class Shutter : public gz::sim::System, public gz::sim::ISystemConfigure, public gz::sim::ISystemPreUpdate
{
public:
  void Configure(const gz::sim::Entity &, const std::shared_ptr<const sdf::Element> &,
    gz::sim::EntityComponentManager &, gz::sim::EventManager & _events) override
  {
    this->events = &_events;
    this->node.Subscribe("/camera_trigger", &Shutter::OnTrigger, this);
  }

  void PreUpdate(const gz::sim::UpdateInfo & _info, gz::sim::EntityComponentManager &) override
  {
    if (this->connection) {
      std::unique_lock<std::mutex> lock(this->mutex);
      // The first picture waits for the renderer to start, or for nothing if there is no camera yet.
      this->rendered.wait_for(lock, kLongest, [this] { return this->done; });
      lock.unlock();
      // A connection makes Sensors render in every loop.
      this->connection.reset();
    } else if (this->triggered.exchange(false) && _info.paused) {
      this->done = false;
      this->connection = this->events->Connect<gz::sim::events::PostRender>([this] {
        {
          std::lock_guard<std::mutex> lock(this->mutex);
          this->done = true;
        }
        this->rendered.notify_one();
      });
    }
  }

private:
  static constexpr std::chrono::seconds kLongest{1};

  void OnTrigger(const gz::msgs::Boolean &)
  {
    this->triggered = true;
  }

  gz::sim::EventManager * events{nullptr};
  gz::common::ConnectionPtr connection;
  gz::transport::Node node;
  std::atomic<bool> triggered{false};
  std::mutex mutex;
  std::condition_variable rendered;
  bool done{false};
};
}  // namespace deepracer_gazebo

GZ_ADD_PLUGIN(deepracer_gazebo::Shutter, gz::sim::System,
  deepracer_gazebo::Shutter::ISystemConfigure, deepracer_gazebo::Shutter::ISystemPreUpdate)
