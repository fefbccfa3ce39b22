// Copyright 2025 The maintainers of this repository
// SPDX-License-Identifier: Apache-2.0

#include <chrono>
#include <memory>
#include <string>

#include <gz/msgs/model.pb.h>
#include <gz/plugin/Register.hh>
#include <gz/sim/Conversions.hh>
#include <gz/sim/Joint.hh>
#include <gz/sim/Model.hh>
#include <gz/sim/System.hh>
#include <gz/transport/Node.hh>

namespace deepracer_gazebo
{
/// Publishes the positions of a model's joints on `/<model>/joint_states` (gz.msgs.Model), `<update_rate>` times a second
/// of simulated time.
///
/// Gazebo's JointStatePublisher does so too, but also 700 times a second and per car while the simulation is paused,
/// which in lock-step is most of the time.
class JointStates : public gz::sim::System,
                    public gz::sim::ISystemConfigure,
                    public gz::sim::ISystemPostUpdate
{
public:
  void Configure(const gz::sim::Entity & _entity, const std::shared_ptr<const sdf::Element> & _sdf,
    gz::sim::EntityComponentManager & _ecm, gz::sim::EventManager &) override
  {
    this->model = gz::sim::Model(_entity);
    this->period = std::chrono::duration<double>(1.0 / _sdf->Get<double>("update_rate", 15.0).first);
    this->publisher = this->node.Advertise<gz::msgs::Model>("/" + this->model.Name(_ecm) + "/joint_states");
    for (const gz::sim::Entity joint : this->model.Joints(_ecm)) {
      gz::sim::Joint(joint).EnablePositionCheck(_ecm);
    }
  }

  void PostUpdate(const gz::sim::UpdateInfo & _info, const gz::sim::EntityComponentManager & _ecm) override
  {
    if (_info.paused || _info.simTime - this->last < this->period) {
      return;
    }
    this->last = _info.simTime;
    gz::msgs::Model message;
    *message.mutable_header()->mutable_stamp() = gz::sim::convert<gz::msgs::Time>(_info.simTime);
    for (const gz::sim::Entity entity : this->model.Joints(_ecm)) {
      const gz::sim::Joint joint(entity);
      const auto position = joint.Position(_ecm);
      if (position && !position->empty()) {
        gz::msgs::Joint * part = message.add_joint();
        part->set_name(joint.Name(_ecm).value_or(""));
        part->mutable_axis1()->set_position(position->front());
      }
    }
    this->publisher.Publish(message);
  }

private:
  gz::sim::Model model;
  gz::transport::Node node;
  gz::transport::Node::Publisher publisher;
  std::chrono::duration<double> period{};
  std::chrono::steady_clock::duration last{};
};
}  // namespace deepracer_gazebo

GZ_ADD_PLUGIN(deepracer_gazebo::JointStates, gz::sim::System,
  deepracer_gazebo::JointStates::ISystemConfigure, deepracer_gazebo::JointStates::ISystemPostUpdate)
