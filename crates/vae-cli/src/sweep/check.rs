//! Checks before any work: can what is asked for be measured of every run?

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result};
use burn::tensor::Device;
use vae_data::{Examples, Split};
use vae_eval::{Evaluator, FeatureNetwork, KeyedNoise, Phase};
use vae_model::VaeSpec;
use vae_train::data::{TrainingData, load};
use vae_train::{Backend, ValidConfig};

use super::plan::Plan;
use super::work::Sweep;
use crate::open;
use crate::output::printer::Printer;

impl Sweep {
    /// Reads the data of the runs that are still to be done, and checks that what is asked for can be measured
    /// on them. A build without a CPU backend leaves this to the runs.
    ///
    /// # Errors
    /// If the data of a run cannot be read, or do not have what a measure needs.
    pub fn check_measures(&self, plan: &Plan, printer: &Printer) -> Result<()> {
        let Ok(Backend { device, .. }) = Backend::any_cpu() else { return Ok(()) };
        let mut seen = BTreeSet::new();
        // The data of the last run: most sweeps have one set.
        let mut read: Option<(String, (TrainingData, Examples))> = None;
        for planned in plan.runs().filter(|run| self.made_on(run).is_none()) {
            let config = &planned.config;
            let set = format!("{:?}", config.data);
            if !seen.insert(format!("{set}{:?}{:?}", config.model, config.objective)) {
                continue;
            }
            let place = || planned.name.clone();
            if read.as_ref().is_none_or(|(other, _)| *other != set) {
                read = Some((set, self.read_data(config, printer).with_context(place)?));
            }
            if let Some((_, (data, test))) = &read {
                self.check(config, data, test, &device).with_context(place)?;
            }
        }
        Ok(())
    }

    /// Reads training data, and the examples that the run will be evaluated on.
    fn read_data(
        &self,
        config: &ValidConfig,
        printer: &Printer,
    ) -> Result<(TrainingData, Examples)> {
        open::with_environment(self.data_dir.clone(), printer, |environment| {
            let data = load(config, environment)?;
            let mut test = data.resolved.read(Split::Test, environment)?;
            if let Some(limit) = self.measures.limit {
                test.truncate(limit);
            }
            Ok((data, test))
        })
    }

    fn check(
        &self,
        config: &ValidConfig,
        data: &TrainingData,
        test: &Examples,
        device: &Device,
    ) -> Result<()> {
        let asked = &self.measures.asked;
        if asked.quality {
            FeatureNetwork::check(&data.train).context("--quality")?;
            FeatureNetwork::check_compared(test).context("--quality")?;
        }
        if !config.objective.requirements().trains_encoder {
            return Ok(());
        }
        let spec = VaeSpec::new(config.model.clone(), data.spec())?;
        let vae = spec.init(&KeyedNoise::new(0, Phase::Init), device);
        let transform = Arc::clone(&data.transform);
        let evaluator = Evaluator::new(Arc::new(test.clone()), transform, device.clone(), 0)?;
        evaluator.check(&vae, asked.samples.unwrap_or(0)).context("--samples")?;
        if let Some(steps) = asked.ais {
            evaluator.check_annealing(&vae, steps).context("--ais")?;
        }
        if asked.disentanglement {
            evaluator.check_disentanglement(&vae).context("--disentanglement")?;
        }
        Ok(())
    }
}
