//! The coach: says what goes wrong in a training, and which setting to change.
//!
//! ```text
//! mod      when the coach looks, and what it has said before
//! facts    what it looks at: the losses so far, the codes of some examples, some samples
//! rules    what it says of them: a rule for each thing that goes wrong
//! ```

mod facts;
mod rules;

pub use facts::{DataFacts, Facts, ModelFacts};
pub use rules::RULES;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use vae_eval::{EvalError, Generator, Metrics};
use vae_model::objective::Requirements;

use super::metrics::Extremes;
use crate::task::config::ValidConfig;
use crate::task::data::TrainingData;

/// What goes wrong in a training, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    /// The name of the rule, such as `posterior-collapse`. It never changes.
    pub code: String,
    /// What goes wrong, with the numbers that show it.
    pub warning: String,
    /// The setting to change.
    pub advice: String,
}

/// Steps before the coach says anything of losses and codes: until then any model is bad.
const FIRST_STEPS: u64 = 200;

/// Watches a training, and gives each advice once.
#[derive(Clone, Debug)]
pub struct Coach {
    requirements: Requirements,
    facts: Facts,
    given: BTreeSet<String>,
}

impl Coach {
    /// Makes the coach of a training on `data`.
    ///
    /// # Errors
    /// If the examples do not fit their transform.
    pub fn new(config: &ValidConfig, data: &TrainingData) -> Result<Self, EvalError> {
        Ok(Self {
            requirements: config.objective.requirements(),
            facts: Facts { data: DataFacts::of(data)?, ..Facts::default() },
            given: BTreeSet::new(),
        })
    }

    /// Leaves out advice that was given before the training was resumed, by its code.
    pub fn skip(&mut self, codes: impl IntoIterator<Item = String>) {
        self.given.extend(codes);
    }

    /// Returns advice on the data. Call it before the first step.
    pub fn advise_on_data(&mut self, config: &ValidConfig) -> Vec<Advice> {
        self.judge(config)
    }

    /// Tells the coach the losses of single steps.
    pub(super) fn observe_steps(&mut self, extremes: Extremes, from_the_start: bool) {
        // A resumed training starts with a small loss, which says nothing.
        if from_the_start && self.facts.first_loss.is_none() {
            self.facts.first_loss = Some(extremes.first);
        }
        self.facts.highest_loss = self.facts.highest_loss.max(extremes.highest);
    }

    /// Returns advice at a moment of the training. `generator` has the model of that moment.
    ///
    /// # Errors
    /// If the model cannot read the data.
    pub fn advise(
        &mut self,
        config: &ValidConfig,
        generator: &Generator,
        data: &TrainingData,
        now: Now<'_>,
    ) -> Result<Vec<Advice>, EvalError> {
        if now.step < FIRST_STEPS {
            return Ok(Vec::new());
        }
        let model = ModelFacts::of(generator, &data.train, &self.requirements)?;
        self.facts.take(now, model, &self.requirements);
        Ok(self.judge(config))
    }

    /// Returns the advice of all rules that was not given before.
    fn judge(&mut self, config: &ValidConfig) -> Vec<Advice> {
        let mut new = Vec::new();
        for rule in RULES {
            if self.given.contains(rule.code) {
                continue;
            }
            if let Some((warning, advice)) = (rule.judge)(&self.facts, config, &self.requirements) {
                self.given.insert(rule.code.to_owned());
                new.push(Advice { code: rule.code.to_owned(), warning, advice });
            }
        }
        new
    }
}

/// A moment of a training.
#[derive(Clone, Copy, Debug)]
pub struct Now<'a> {
    /// Number of finished steps.
    pub step: u64,
    /// Number of passes over the data.
    pub epoch: f64,
    /// Averages over the training steps of the current epoch.
    pub train: &'a Metrics,
    /// The validation loss, if there is validation data.
    pub validation: Option<f64>,
    /// The lowest validation loss so far, and its epoch.
    pub best: Option<(f64, u64)>,
}
