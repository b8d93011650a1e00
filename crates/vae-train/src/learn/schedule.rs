//! Learning-rate schedules of Burn. The rate depends only on the number of the step.

use burn::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
use burn::lr_scheduler::exponential::ExponentialLrSchedulerConfig;
use burn::lr_scheduler::linear::LinearLrSchedulerConfig;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::lr_scheduler::step::StepLrSchedulerConfig;
use serde::{Deserialize, Serialize};
use vae_model::{ConfigError, check, choice};

choice! {
    /// A learning-rate schedule. Times are in epochs. After its end, a schedule keeps the last
    /// rate.
    pub enum ScheduleConfig {
        /// Constant learning rate.
        "constant" => Constant(ConstantConfig),
        /// Linear from the learning rate to the last rate.
        "linear" => Linear(EndConfig),
        /// Half a cosine from the learning rate to the last rate (Loshchilov and Hutter 2017,
        /// without restarts).
        "cosine" => Cosine(EndConfig),
        /// Exponential decay, in every step.
        "exponential" => Exponential(DecayConfig),
        /// Multiplication by a factor every `epochs` epochs.
        "step" => Step(DecayConfig),
    }
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self::Constant(ConstantConfig {})
    }
}

/// Settings of a constant rate: none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConstantConfig {}

/// Settings of a schedule with a last rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndConfig {
    /// Epochs until the last rate.
    pub epochs: f64,
    /// The last rate.
    pub last: f64,
}

/// Settings of a schedule that multiplies the rate by a factor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecayConfig {
    /// Epochs in which the rate is multiplied by `factor`.
    pub epochs: f64,
    /// The factor, above 0 and at most 1.
    pub factor: f64,
}

impl ScheduleConfig {
    /// Checks the settings for the initial rate `rate`. `key` is the path of their table, for
    /// errors.
    ///
    /// # Errors
    /// For the first invalid value.
    pub fn validate(&self, key: &str, rate: f64) -> Result<(), ConfigError> {
        let epochs = match self {
            Self::Constant(_) => return Ok(()),
            Self::Linear(c) | Self::Cosine(c) => {
                if !(c.last >= 0.0 && c.last <= rate) {
                    let why = format!("must be 0 to the learning rate ({rate}), not {}", c.last);
                    return Err(ConfigError::new(format!("{key}.last"), why));
                }
                c.epochs
            }
            Self::Exponential(c) | Self::Step(c) => {
                check::above_zero_to(key, "factor", c.factor, 1.0)?;
                c.epochs
            }
        };
        check::above_zero_to(key, "epochs", epochs, 1e6)
    }

    /// Makes the schedule with the initial rate `rate`, for epochs of `steps_per_epoch` steps.
    ///
    /// # Errors
    /// Burn's reason for refusing the settings.
    pub fn init(&self, rate: f64, steps_per_epoch: usize) -> Result<Schedule, String> {
        let steps = |epochs: f64| ((epochs * steps_per_epoch as f64).round() as usize).max(1);
        let (scheduler, last_step) = match self {
            Self::Constant(_) => (None, 0),
            Self::Linear(c) => {
                let n = steps(c.epochs);
                (Some(LinearLrSchedulerConfig::new(rate, c.last, n).init()?), n)
            }
            Self::Cosine(c) => {
                let n = steps(c.epochs);
                let config = CosineAnnealingLrSchedulerConfig::new(rate, n).with_min_lr(c.last);
                (Some(config.init()?), n)
            }
            Self::Exponential(c) => {
                let gamma = c.factor.powf(1.0 / steps(c.epochs) as f64);
                (Some(ExponentialLrSchedulerConfig::new(rate, gamma).init()?), usize::MAX)
            }
            Self::Step(c) => {
                let config = StepLrSchedulerConfig::new(rate, steps(c.epochs)).with_gamma(c.factor);
                (Some(config.init()?), usize::MAX)
            }
        };
        Ok(Schedule { scheduler, rate, taken: 0, last_step })
    }
}

/// A schedule with its current rate.
pub struct Schedule {
    scheduler: Option<ModuleLrScheduler>,
    rate: f64,
    /// Number of steps taken by the scheduler.
    taken: u64,
    /// The last step of the scheduler. After it, Burn's cosine would increase again.
    last_step: usize,
}

impl Schedule {
    /// Returns the rate of step `step`, counted from 0. `step` must not decrease between calls.
    pub fn rate(&mut self, step: u64) -> f64 {
        let Some(scheduler) = &mut self.scheduler else { return self.rate };
        while self.taken <= step && self.taken <= self.last_step as u64 {
            self.rate = scheduler.step().base();
            self.taken += 1;
        }
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(config: ScheduleConfig, steps: u64) -> Vec<f64> {
        let mut schedule = config.init(0.1, 10).unwrap();
        (0..steps).map(|step| schedule.rate(step)).collect()
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9, "{a} is not {b}");
    }

    #[test]
    fn schedules_follow_their_formulas_and_keep_the_last_rate() {
        let end = EndConfig { epochs: 1.0, last: 0.02 };
        let linear = rates(ScheduleConfig::Linear(end.clone()), 30);
        close(linear[0], 0.1);
        close(linear[5], 0.06);
        close(linear[29], 0.02);
        let cosine = rates(ScheduleConfig::Cosine(end), 30);
        close(cosine[0], 0.1);
        close(cosine[5], 0.06);
        close(cosine[29], 0.02);
        let decay = DecayConfig { epochs: 1.0, factor: 0.5 };
        close(rates(ScheduleConfig::Exponential(decay.clone()), 21)[20], 0.025);
        let step = rates(ScheduleConfig::Step(decay), 21);
        close(step[9], 0.1);
        close(step[10], 0.05);
        close(step[20], 0.025);
    }

    #[test]
    fn a_rate_depends_only_on_the_step() {
        let config = ScheduleConfig::Cosine(EndConfig { epochs: 2.0, last: 0.0 });
        let all = rates(config.clone(), 15);
        assert_eq!(config.init(0.1, 10).unwrap().rate(14), all[14]);
    }
}
