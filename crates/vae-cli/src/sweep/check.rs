//! Checks before any work: can what is asked for be measured on the data of every run?

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Error, Result};
use burn::tensor::Device;
use vae_data::{Examples, OpenedSource, Split, Transform};
use vae_eval::{EvalError, Evaluator};
use vae_model::{DataSpec, VaeSpec};
use vae_train::{Backend, ValidConfig};

use super::plan::{Plan, PlannedRun};
use super::work::Sweep;
use crate::args::MeasureArgs;
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
        self.check_encoders(plan, printer)?;
        let Ok(Backend { device, .. }) = Backend::any_cpu() else { return Ok(()) };
        let of_data = |config: &ValidConfig| {
            let data = &config.data;
            format!("{:?}", (&data.source, data.source_settings(), data.pixels))
        };
        // Runs by the data that the sweep asks for, such as `auto`, and by those that they have or will have.
        let mut done: Vec<(String, &PlannedRun, String)> = Vec::new();
        let mut left: BTreeMap<[String; 2], Vec<(&PlannedRun, ValidConfig)>> = BTreeMap::new();
        for planned in plan.runs() {
            let asked = of_data(&planned.config);
            match self.fingerprint(planned) {
                Some(fingerprint) => done.push((asked, planned, fingerprint)),
                None => {
                    let config = self.config_of(planned);
                    left.entry([asked, of_data(&config)]).or_default().push((planned, config));
                }
            }
        }
        for ([asked, _], runs) in left {
            let Some((first, config)) = runs.first() else { continue };
            let data = self.read_data(config, printer).with_context(|| first.name.clone())?;
            let fingerprint = data.test.fingerprint();
            let other = done
                .iter()
                .find(|(same, _, of)| *same == asked && !of.is_empty() && *of != fingerprint);
            if let Some((_, other, _)) = other {
                return Err(request(format!(
                    "{}: its examples are other ones than when {} was evaluated, whose figures cannot stand beside \
                     those of {}: choose another --out, or move the folders of the runs of the former data away",
                    config.data.source,
                    self.run(other).folder().display(),
                    first.name
                )));
            }
            if self.measures.asked.quality {
                self.check_classifier(config, &data, printer)
                    .with_context(|| first.name.clone())?;
            }
            let mut seen: Vec<String> = Vec::new();
            for (planned, config) in runs.iter().filter(|(_, config)| trains_encoder(config)) {
                let model = format!("{:?}{:?}", config.data.scale, config.model);
                if !seen.contains(&model) {
                    self.check_model(config, &data, &device)
                        .with_context(|| planned.name.clone())?;
                    seen.push(model);
                }
            }
        }
        Ok(())
    }

    /// Checks that there is a model for the measures that need an encoder, and says which models do without.
    fn check_encoders(&self, plan: &Plan, printer: &Printer) -> Result<()> {
        let MeasureArgs { samples, ais, disentanglement, .. } = &self.measures.asked;
        if samples.is_none() && ais.is_none() && !disentanglement {
            return Ok(());
        }
        let without: Vec<&PlannedRun> =
            plan.runs().filter(|run| !trains_encoder(&run.config)).collect();
        if without.len() == plan.runs().count() {
            return Err(request(
                "--samples, --ais and --disentanglement need a model with an encoder, and no run of this sweep \
                 trains one: leave them out",
            ));
        }
        if let Some(first) = without.first() {
            printer.say(&format!(
                "{} of the runs, such as {}, train no encoder: of these only the loss and --quality are measured",
                without.len(),
                first.name
            ));
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
            Ok(Data { train, classes, test: Arc::new(test) })
        })
    }

    /// Checks that the data can have a classifier, and the one of the cache, if there is one.
    fn check_classifier(&self, config: &ValidConfig, data: &Data, printer: &Printer) -> Result<()> {
        let (settings, examples) = (config.data.source_settings(), &data.test);
        let source = open::with_environment(self.data_dir.clone(), printer, |environment| {
            Ok(OpenedSource::open(&config.data.source, &settings, environment)?)
        })?;
        open::cached_feature_network(self.data_dir.clone(), &source, examples, printer)
            .context("--quality")?;
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

/// Returns the error of a measure that does not fit the runs.
fn refused(flag: &str, why: &EvalError) -> Error {
    // Where settings are wrong, they are those of the file.
    let advice = match why {
        EvalError::Unusable(_) => {
            format!(
                "; put these settings under [set] in the file of the sweep, or leave {flag} out"
            )
        }
        _ => String::new(),
    };
    request(format!("{flag}: {why}{advice}"))
}
