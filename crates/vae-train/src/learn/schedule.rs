//! Learning-rate schedules. The rate depends only on the number of the step.

use burn::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
use burn::lr_scheduler::exponential::ExponentialLrSchedulerConfig;
use burn::lr_scheduler::linear::LinearLrSchedulerConfig;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
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
        /// Stages with a constant rate. Each stage has the rate of the one before times a factor.
        "step" => Step(StepConfig),
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

/// Settings of a schedule in stages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepConfig {
    /// Epochs of the first stage.
    pub epochs: f64,
    /// Rate of a stage, divided by the rate of the stage before. Above 0 and at most 1.
    pub factor: f64,
    /// Length of a stage, divided by the length of the stage before. Burda et al. (2016) have 3.
    #[serde(default = "equal")]
    pub growth: f64,
}

/// Stages of the same length.
fn equal() -> f64 {
    1.0
}

impl StepConfig {
    /// Returns the number of the stage of a step, from 0. The first stage has `first` steps.
    fn stage(&self, step: u64, first: usize) -> i32 {
        let stages = step as f64 / first as f64;
        // The first i stages have first (growth^i - 1) / (growth - 1) steps. A step that is the first of
        // a stage must not be lost by rounding.
        const SLACK: f64 = 1e-9;
        let stage = match self.growth {
            1.0 => stages,
            growth => (stages * (growth - 1.0)).ln_1p() / growth.ln(),
        };
        (stage + SLACK) as i32
    }
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
            Self::Exponential(c) => {
                check::above_zero_to(key, "factor", c.factor, 1.0)?;
                c.epochs
            }
            Self::Step(c) => {
                check::above_zero_to(key, "factor", c.factor, 1.0)?;
                if !(c.growth >= 1.0 && c.growth <= 1e3) {
                    let why = format!("must be 1 to 1000, not {}", c.growth);
                    return Err(ConfigError::new(format!("{key}.growth"), why));
                }
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
        let (scheduler, last_step): (ModuleLrScheduler, usize) = match self {
            Self::Constant(_) => return Ok(Schedule { rate, rule: Rule::Constant }),
            Self::Step(config) => {
                let first = steps(config.epochs);
                return Ok(Schedule { rate, rule: Rule::Stages { config: config.clone(), first } });
            }
            Self::Linear(c) => {
                let n = steps(c.epochs);
                (LinearLrSchedulerConfig::new(rate, c.last, n).init()?, n)
            }
            Self::Cosine(c) => {
                let n = steps(c.epochs);
                let config = CosineAnnealingLrSchedulerConfig::new(rate, n).with_min_lr(c.last);
                (config.init()?, n)
            }
            Self::Exponential(c) => {
                let gamma = c.factor.powf(1.0 / steps(c.epochs) as f64);
                (ExponentialLrSchedulerConfig::new(rate, gamma).init()?, usize::MAX)
            }
        };
        let rule = Rule::Burn { scheduler, newest: rate, taken: 0, last_step };
        Ok(Schedule { rate, rule })
    }
}

/// A schedule with its initial rate.
pub struct Schedule {
    rate: f64,
    rule: Rule,
}

/// How the rate changes.
enum Rule {
    Constant,
    /// Stages, of which the first has `first` steps.
    Stages {
        config: StepConfig,
        first: usize,
    },
    /// A scheduler of Burn, which returns one rate after the other.
    Burn {
        scheduler: ModuleLrScheduler,
        newest: f64,
        /// Number of steps taken by the scheduler.
        taken: u64,
        /// The last step of the scheduler. After it, Burn's cosine would increase again.
        last_step: usize,
    },
}

impl Schedule {
    /// Returns the rate of step `step`, counted from 0. `step` must not decrease between calls.
    pub fn rate(&mut self, step: u64) -> f64 {
        match &mut self.rule {
            Rule::Constant => self.rate,
            Rule::Stages { config, first } => {
                self.rate * config.factor.powi(config.stage(step, *first))
            }
            Rule::Burn { scheduler, newest, taken, last_step } => {
                while *taken <= step && *taken <= *last_step as u64 {
                    *newest = scheduler.step().base();
                    *taken += 1;
                }
                *newest
            }
        }
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
    }

    #[test]
    fn stages_have_the_lengths_and_rates_of_the_paper() {
        let equal = StepConfig { epochs: 1.0, factor: 0.5, growth: 1.0 };
        let step = rates(ScheduleConfig::Step(equal), 21);
        close(step[9], 0.1);
        close(step[10], 0.05);
        close(step[20], 0.025);
        // Burda et al. (2016): stage i has 3^i epochs at 10^(-i/7) times the first rate.
        let factor = 10f64.powf(-1.0 / 7.0);
        let config = ScheduleConfig::Step(StepConfig { epochs: 1.0, factor, growth: 3.0 });
        let mut schedule = config.init(1e-3, 3_000).unwrap();
        let mut first = 0;
        for stage in 0..8 {
            let end = first + 3_000 * 3u64.pow(stage);
            let rate = 1e-3 * 10f64.powf(-f64::from(stage) / 7.0);
            for step in [first, first + 1, end - 1] {
                close(schedule.rate(step), rate);
            }
            first = end;
        }
        assert_eq!(first, 3_280 * 3_000);
        // A file without `growth`, as all had it before.
        let old: StepConfig = toml::from_str("epochs = 1\nfactor = 0.5").unwrap();
        close(old.growth, 1.0);
    }

    #[test]
    fn a_rate_depends_only_on_the_step() {
        let config = ScheduleConfig::Cosine(EndConfig { epochs: 2.0, last: 0.0 });
        let all = rates(config.clone(), 15);
        assert_eq!(config.init(0.1, 10).unwrap().rate(14), all[14]);
    }
}
