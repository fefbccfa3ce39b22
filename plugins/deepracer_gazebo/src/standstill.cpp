// Copyright 2025 The maintainers of this repository
// SPDX-License-Identifier: Apache-2.0

#include <memory>
#include <string>

#include <gz/math/Vector3.hh>
#include <gz/msgs/pose.pb.h>
#include <gz/msgs/Utility.hh>
#include <gz/plugin/Register.hh>
#include <gz/sim/Model.hh>
#include <gz/sim/System.hh>
#include <gz/sim/components/AngularVelocityCmd.hh>
#include <gz/sim/components/JointPositionReset.hh>
#include <gz/sim/components/JointVelocityCmd.hh>
#include <gz/sim/components/JointVelocityReset.hh>
#include <gz/sim/components/LinearVelocityCmd.hh>
#include <gz/sim/components/PoseCmd.hh>
#include <gz/transport/Node.hh>

namespace deepracer_gazebo
{
namespace components = gz::sim::components;

/// Brings a model to rest when it is put down elsewhere.
///
/// `set_pose` moves a model and keeps its speed, its spin, the spin of its wheels and their steering. This system notices
/// the pose, also while the simulation is paused, confirms it on `/<model>/placed` (gz.msgs.Pose), and keeps everything
/// at rest until one step has run. It has to stand behind the systems that drive the model's joints.
class Standstill : public gz::sim::System,
                   public gz::sim::ISystemConfigure,
                   public gz::sim::ISystemPreUpdate
{
public:
  void Configure(const gz::sim::Entity & _entity, const std::shared_ptr<const sdf::Element> &,
    gz::sim::EntityComponentManager & _ecm, gz::sim::EventManager &) override
  {
    this->model = gz::sim::Model(_entity);
    this->publisher = this->node.Advertise<gz::msgs::Pose>("/" + this->model.Name(_ecm) + "/placed");
  }

  void PreUpdate(const gz::sim::UpdateInfo & _info, gz::sim::EntityComponentManager & _ecm) override
  {
    const gz::sim::Entity entity = this->model.Entity();
    if (this->stepped) {
      // They hold the velocity for as long as they are there.
      _ecm.RemoveComponent<components::LinearVelocityCmd>(entity);
      _ecm.RemoveComponent<components::AngularVelocityCmd>(entity);
      this->stepped = false;
    }
    const auto * pose = _ecm.Component<components::WorldPoseCmd>(entity);
    if (pose != nullptr && !this->confirmed) {
      this->atRest = false;
      this->publisher.Publish(gz::msgs::Convert(pose->Data()));
    }
    // Physics leaves the command there for one more loop.
    this->confirmed = pose != nullptr;
    if (this->atRest) {
      return;
    }
    for (const gz::sim::Entity joint : this->model.Joints(_ecm)) {
      _ecm.SetComponentData<components::JointPositionReset>(joint, {0.0});
      _ecm.SetComponentData<components::JointVelocityReset>(joint, {0.0});
      // Of the old command, by a system that has run before this one.
      _ecm.RemoveComponent<components::JointVelocityCmd>(joint);
    }
    _ecm.SetComponentData<components::LinearVelocityCmd>(entity, gz::math::Vector3d::Zero);
    _ecm.SetComponentData<components::AngularVelocityCmd>(entity, gz::math::Vector3d::Zero);
    this->atRest = this->stepped = !_info.paused;
  }

private:
  gz::sim::Model model;
  gz::transport::Node node;
  gz::transport::Node::Publisher publisher;
  bool atRest{true};
  bool confirmed{false};
  bool stepped{false};
};
}  // namespace deepracer_gazebo

GZ_ADD_PLUGIN(deepracer_gazebo::Standstill, gz::sim::System,
  deepracer_gazebo::Standstill::ISystemConfigure, deepracer_gazebo::Standstill::ISystemPreUpdate)
