// Copyright 2025 The maintainers of this repository
// SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gz/math/Pose3.hh>
#include <gz/math/Vector3.hh>
#include <gz/plugin/Register.hh>
#include <gz/sim/Joint.hh>
#include <gz/sim/Link.hh>
#include <gz/sim/Model.hh>
#include <gz/sim/System.hh>
#include <gz/sim/components/JointVelocityCmd.hh>
#include <gz/sim/components/PoseCmd.hh>
#include <gz/sim/components/SlipComplianceCmd.hh>

namespace deepracer_gazebo
{
namespace components = gz::sim::components;

/// Drives all four wheels, through differentials that are partly locked, and lets the tyres slip as far as the forces
/// ask for: the car of the embedded simulator (deepracer_sim/dynamics/kernels.py), whose names these are.
///
/// Gazebo's drives turn the rear wheels, each as fast as the road under it should be, and its wheels are rigid. This
/// system stands behind the drive: the mean of what that asks for is the speed that the motor goes to.
class Tyres : public gz::sim::System, public gz::sim::ISystemConfigure, public gz::sim::ISystemPreUpdate
{
public:
  void Configure(const gz::sim::Entity & _entity, const std::shared_ptr<const sdf::Element> & _sdf,
    gz::sim::EntityComponentManager & _ecm, gz::sim::EventManager &) override
  {
    this->model = gz::sim::Model(_entity);
    this->base = gz::sim::Link(this->model.LinkByName(_ecm, "base_link"));
    this->base.EnableVelocityChecks(_ecm);
    this->radius = _sdf->Get<double>("wheel_radius");
    this->lock = _sdf->Get<double>("differential_lock");
    this->friction = _sdf->Get<double>("friction");
    this->timeConstant = _sdf->Get<double>("time_constant");
    this->acceleration = _sdf->Get<double>("acceleration_limit");
    this->deceleration = _sdf->Get<double>("deceleration_limit");
    // Rear wheels first: the drive's commands are theirs.
    for (const std::string axle : {"rear", "front"}) {
      for (const std::string side : {"left", "right"}) {
        Wheel & wheel = this->wheels[(axle == "front" ? 2 : 0) + (side == "right" ? 1 : 0)];
        wheel.joint = this->model.JointByName(_ecm, side + "_" + axle + "_wheel_joint");
        wheel.collisions = gz::sim::Link(this->model.LinkByName(_ecm, side + "_" + axle + "_wheel")).Collisions(_ecm);
        wheel.x = _sdf->Get<double>("x_" + axle);
        wheel.y = _sdf->Get<double>("y_" + axle) * (side == "left" ? 1.0 : -1.0);
        wheel.stiffness = _sdf->Get<double>("stiffness_" + axle);
        wheel.load = _sdf->Get<double>("load_" + axle);
        if (axle == "front") {
          wheel.hinge = gz::sim::Joint(this->model.JointByName(_ecm, side + "_steering_hinge_joint"));
          wheel.hinge.EnablePositionCheck(_ecm);
        }
      }
    }
  }

  void PreUpdate(const gz::sim::UpdateInfo & _info, gz::sim::EntityComponentManager & _ecm) override
  {
    this->placed |= _ecm.Component<components::WorldPoseCmd>(this->model.Entity()) != nullptr;
    const auto pose = this->base.WorldPose(_ecm);
    const auto velocity = this->base.WorldLinearVelocity(_ecm);
    const auto spin = this->base.WorldAngularVelocity(_ecm);
    if (_info.paused || !pose || !velocity || !spin) {
      return;
    }
    // Put down elsewhere, at rest; all that is known here is of the time before.
    const bool rest = std::exchange(this->placed, false);
    const gz::math::Vector3d body = rest ? gz::math::Vector3d::Zero : pose->Rot().RotateVectorReverse(*velocity);
    const double yawRate = rest ? 0.0 : spin->Z();
    if (rest) {
      this->speed = 0.0;
    } else {
      this->Accelerate(this->Commanded(_ecm), std::chrono::duration<double>(_info.dt).count());
    }
    const double perSpeed = 1.0 / std::max(std::abs(this->speed), kSlipSpeed);
    for (const Wheel & wheel : this->wheels) {
      const auto position = wheel.hinge.Entity() == gz::sim::kNullEntity ? std::nullopt : wheel.hinge.Position(_ecm);
      const double angle = !rest && position && !position->empty() ? position->front() : 0.0;
      const double vx = body.X() - wheel.y * yawRate;
      const double vy = body.Y() + wheel.x * yawRate;
      const double rolling = vx * std::cos(angle) + vy * std::sin(angle);
      // Differentials let every wheel turn as fast as the road under it moves; what they are locked, wheels slip.
      const double turning = this->speed + (1.0 - this->lock) * (rolling - body.X());
      _ecm.SetComponentData<components::JointVelocityCmd>(wheel.joint, {turning / this->radius});
      const double along = (turning - rolling) * perSpeed;
      const double across = (vx * std::sin(angle) - vy * std::cos(angle)) * perSpeed;
      const double gain = this->TyreGain(std::hypot(along, across), wheel.stiffness);
      // The physics engine lets a contact slide by this much per force, and never pushes more than friction does.
      const double compliance = 1.0 / (perSpeed * gain * wheel.load);
      for (const gz::sim::Entity collision : wheel.collisions) {
        _ecm.SetComponentData<components::SlipComplianceCmd>(collision, {compliance, compliance});
      }
    }
  }

private:
  struct Wheel
  {
    gz::sim::Entity joint{gz::sim::kNullEntity};
    gz::sim::Joint hinge;
    std::vector<gz::sim::Entity> collisions;
    double x, y, stiffness, load;
  };

  /// Wheels that roll more slowly than this (m/s) slip as if they rolled as fast.
  static constexpr double kSlipSpeed{0.5};

  /// Returns the mean speed that the drive asks the rear wheels for, m/s.
  double Commanded(const gz::sim::EntityComponentManager & _ecm) const
  {
    double sum = 0.0;
    for (int k = 0; k < 2; ++k) {
      const auto * command = _ecm.Component<components::JointVelocityCmd>(this->wheels[k].joint);
      sum += command != nullptr && !command->Data().empty() ? command->Data().front() : 0.0;
    }
    return 0.5 * sum * this->radius;
  }

  /// Lets the motor's speed follow: a first-order lag with a limited rate.
  void Accelerate(double _target, double _duration)
  {
    const double limit =
      ((_target - this->speed) * this->speed < 0.0 ? this->deceleration : this->acceleration) * _duration;
    const double left = this->timeConstant > 0.0 ? std::exp(-_duration / this->timeConstant) : 0.0;
    this->speed += std::clamp((_target - this->speed) * (1.0 - left), -limit, limit);
  }

  /// Returns tyre force over slip and load: Fiala's brush model.
  double TyreGain(double _slip, double _stiffness) const
  {
    const double share = _slip * _stiffness / (3.0 * this->friction);
    return share >= 1.0 ? this->friction / _slip : _stiffness * (1.0 - share + share * share / 3.0);
  }

  gz::sim::Model model;
  gz::sim::Link base;
  std::array<Wheel, 4> wheels;
  double radius{}, lock{}, friction{}, timeConstant{}, acceleration{}, deceleration{};
  /// Circumferential speed that the motor turns the wheels at, m/s.
  double speed{0.0};
  bool placed{false};
};
}  // namespace deepracer_gazebo

GZ_ADD_PLUGIN(deepracer_gazebo::Tyres, gz::sim::System,
  deepracer_gazebo::Tyres::ISystemConfigure, deepracer_gazebo::Tyres::ISystemPreUpdate)
