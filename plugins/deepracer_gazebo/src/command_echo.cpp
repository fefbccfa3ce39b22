// Copyright 2025 The maintainers of this repository
// SPDX-License-Identifier: Apache-2.0

#include <memory>
#include <string>

#include <gz/msgs/twist.pb.h>
#include <gz/plugin/Register.hh>
#include <gz/sim/Model.hh>
#include <gz/sim/System.hh>
#include <gz/transport/Node.hh>

namespace deepracer_gazebo
{
/// Sends every command that has reached the server on `/<model>/cmd_vel` (gz.msgs.Twist) back on `/<model>/commanded`.
///
/// Commands and requests for steps travel by different ways, and nothing else tells which came first. The transport hands
/// a message to all of a process's subscribers at once, so what has come here has come to the car's drive as well.
class CommandEcho : public gz::sim::System, public gz::sim::ISystemConfigure
{
public:
  void Configure(const gz::sim::Entity & _entity, const std::shared_ptr<const sdf::Element> &,
    gz::sim::EntityComponentManager & _ecm, gz::sim::EventManager &) override
  {
    const std::string name = gz::sim::Model(_entity).Name(_ecm);
    this->publisher = this->node.Advertise<gz::msgs::Twist>("/" + name + "/commanded");
    this->node.Subscribe("/" + name + "/cmd_vel", &CommandEcho::OnCommand, this);
  }

private:
  void OnCommand(const gz::msgs::Twist & _command)
  {
    this->publisher.Publish(_command);
  }

  gz::transport::Node node;
  gz::transport::Node::Publisher publisher;
};
}  // namespace deepracer_gazebo

GZ_ADD_PLUGIN(deepracer_gazebo::CommandEcho, gz::sim::System, deepracer_gazebo::CommandEcho::ISystemConfigure)
