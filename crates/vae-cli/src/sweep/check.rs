//! Checks before any work: can what is asked for be measured on the data of every run?

use std::fmt::Display;
use std::sync::Arc;

use anyhow::{Context, Error, Result};
use burn::tensor::Device;
use vae_data::{DataError, Examples, OpenedSource, Split, Transform};
use vae_eval::{Evaluator, FeatureNetwork};
use vae_model::{DataSpec, VaeSpec};
use vae_train::{Backend, ValidConfig};

use super::plan::{Plan, PlannedRun};
use super::work::Sweep;
use crate::failure::request;
use crate::open;
use crate::output::printer::Printer;

/// What is known of the data of a run before it is trained.
struct Data {
    /// One training example.
    train: Examples,
    /// Classes of all training examples.
    classes: usize,
    /// What the run will be evaluated on.
    test: Arc<Examples>,
}

impl Sweep {
    /// Opens the data of the runs that are still to be done, and checks that what is asked for can be measured
    /// on them. What the settings of a run may do wrong is left to the run. A build without a CPU backend
    /// leaves all of it to the runs.
    ///
    /// # Errors
    /// If data cannot be read, or do not have what a measure needs.
    pub fn check_measures(&self, plan: &Plan, printer: &Printer) -> Result<()> {
        let Ok(Backend { device, .. }) = Backend::any_cpu() else { return Ok(()) };
        let mut sets: Vec<(String, Vec<(&PlannedRun, ValidConfig)>)> = Vec::new();
        for planned in plan.runs().filter(|run| self.made_on(run).is_none()) {
            let config = self.config_of(planned);
            let of_data = (&config.data.source, config.data.source_settings(), config.data.pixels);
            let set = format!("{of_data:?}");
            match sets.iter_mut().find(|(other, _)| *other == set) {
                Some((_, runs)) => runs.push((planned, config)),
                None => sets.push((set, vec![(planned, config)])),
            }
        }
        for (_, runs) in sets {
            let Some((first, config)) = runs.first() else { continue };
            let data = self.read_data(config, printer).with_context(|| first.name.clone())?;
            if self.measures.asked.quality {
                self.check_quality(&data, printer)?;
            }
            let mut seen: Vec<String> = Vec::new();
            for (planned, config) in runs.iter().filter(|(_, config)| trains_encoder(config)) {
                let model = format!("{:?}", config.model);
                if !seen.contains(&model) {
                    self.check_model(config, &data, &device)
                        .with_context(|| planned.name.clone())?;
                    seen.push(model);
                }
            }
        }
        Ok(())
    }

    fn read_data(&self, config: &ValidConfig, printer: &Printer) -> Result<Data> {
        open::with_environment(self.data_dir.clone(), printer, |environment| {
            let settings = config.data.source_settings();
            let source = OpenedSource::open(&config.data.source, &settings, environment)?;
            let (train, classes) = source.read_first(Split::Train, 1, environment)?;
            let limit = self.measures.limit.unwrap_or(usize::MAX);
            let (test, _) = source.read_first(Split::Test, limit, environment)?;
            Ok::<_, DataError>(Data { train, classes, test: Arc::new(test) }).map_err(Error::from)
        })
    }

    fn check_quality(&self, data: &Data, printer: &Printer) -> Result<()> {
        FeatureNetwork::check(&data.train, data.classes)
            .map_err(|why| refused("--quality", &why))?;
        FeatureNetwork::check_compared(&data.test).map_err(|why| refused("--quality", &why))?;
        if let Some(doubt) = FeatureNetwork::doubt(&data.test) {
            printer.warn(&doubt);
        }
        Ok(())
    }

    fn check_model(&self, config: &ValidConfig, data: &Data, device: &Device) -> Result<()> {
        let shape = DataSpec { shape: data.train.shape.dims(), classes: data.classes };
        let transform = Transform::fit(&data.test, config.data.pixels, config.data.scale);
        let spec = VaeSpec::new(config.model.clone(), shape);
        // The run says what is wrong with its settings.
        let (Ok(transform), Ok(spec)) = (transform, spec) else { return Ok(()) };
        let (test, transform) = (Arc::clone(&data.test), Arc::new(transform));
        let evaluator = Evaluator::new(test, transform, device.clone(), 0)?;
        if evaluator.check_spec(&spec, 0).is_err() {
            return Ok(());
        }
        let asked = &self.measures.asked;
        if let Some(samples) = asked.samples {
            evaluator.check_spec(&spec, samples).map_err(|why| refused("--samples", &why))?;
        }
        if let Some(steps) = asked.ais {
            evaluator.check_annealing(&spec, steps).map_err(|why| refused("--ais", &why))?;
        }
        if asked.disentanglement {
            let checked = evaluator.check_disentanglement(&spec);
            checked.map_err(|why| refused("--disentanglement", &why))?;
        }
        Ok(())
    }
}

fn trains_encoder(config: &ValidConfig) -> bool {
    config.objective.requirements().trains_encoder
}

fn refused(flag: &str, why: &dyn Display) -> Error {
    request(format!("{flag}: {why}; leave {flag} out, or change the file of the sweep"))
}
