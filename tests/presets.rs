//! Every preset: its objective gets better, backends agree on it, its model uses its latent; on the
//! built-in digits and, one preset of each kind, on real MNIST. A new preset needs no new test.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use burn::tensor::{Device, Tensor, TensorData};
use vae_data::rng::Stream;
use vae_data::{Environment, Transform};
use vae_eval::{Generator, Metrics, PriorSource, one_hot_of};
use vae_model::config::Choice;
use vae_model::divergence::{Kernel, mmd};
use vae_model::network::NetworkConfig;
use vae_model::{Condition, ObjectiveConfig, Vae};
use vae_tests::{config, data_dir, reference};
use vae_train::coach::Advice;
use vae_train::data::{TrainingData, load};
use vae_train::{Backend, Event, Observer, Trainer, ValidConfig, presets};

// ------------------------------------------------------------ training data and steps

/// Training images, of which most presets take a hundred or so a step.
const IMAGES: usize = 6_400;

/// Images that samples are compared with, and whose codes are changed about.
const SOME: usize = 200;

/// Presets that need more steps than others before their model uses its latent, and how many.
const SLOW: [(&str, u64); 2] = [
    // Nothing draws the noise of its q(z|x) down but the reconstruction.
    ("info-vae", 400),
    // No term compares an image with its own decoding.
    ("ali", 2000),
];

fn preset(name: &str) -> ValidConfig {
    config(name, &[])
}

fn is_conv(config: &ValidConfig) -> bool {
    matches!(config.model.encoder, NetworkConfig::Conv(_))
}

/// Whether it is for pictures of a folder, brought to a size of its own.
fn wants_pictures(config: &ValidConfig) -> bool {
    config.data.size.is_some()
}

/// Whether it is trained on images of any source.
fn wants_images(config: &ValidConfig) -> bool {
    let any = ["auto", "digits", "mnist"].contains(&config.data.source.as_str());
    any && !wants_pictures(config)
}

/// Draws of z an image and step.
fn draws(config: &ValidConfig) -> usize {
    match &config.objective {
        ObjectiveConfig::Iwae(c) => c.samples * c.groups,
        ObjectiveConfig::Elbo(c) => c.samples.max(c.average_decodings),
        _ => 1,
    }
}

/// Steps of training, and images in each where it is not the preset's own number.
fn schooling(name: &str, config: &ValidConfig) -> (u64, Option<usize>) {
    if let Some((_, steps)) = SLOW.iter().find(|(slow, _)| *slow == name) {
        return (*steps, None);
    }
    if wants_pictures(config) {
        (60, Some(16))
    } else if is_conv(config) {
        (200, Some(32))
    } else if config.train.batch_size < 100 && draws(config) <= 10 {
        // 200 steps of 20 images teach little more than the average digit. (64 draws of each image
        // do, and more images would take too long there.)
        (200, Some(100))
    } else {
        (200, None)
    }
}

/// A preset with values for a test above it.
fn test_config(name: &str, steps: u64, batch: Option<usize>, limit: usize) -> ValidConfig {
    let mut sets = vec![
        "train.log_every=1".to_owned(),
        format!("train.max_steps={steps}"),
        format!("data.limit={limit}"),
    ];
    sets.extend(batch.map(|batch| format!("train.batch_size={batch}")));
    config(name, &sets.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The first `limit` training images of a set.
fn images(source: &str, limit: usize, environment: &Environment<'_>) -> TrainingData {
    let (source, limit) = (format!("data.source={source}"), format!("data.limit={limit}"));
    load(&config("default", &[&source, &limit]), environment).unwrap()
}

/// What a preset is trained on: these images as it sees them, or, if it is for other data, those.
fn data_for(config: &ValidConfig, images: &TrainingData) -> TrainingData {
    if wants_pictures(config) {
        let folder = tempfile::tempdir().unwrap();
        draw_pictures(folder.path());
        let config = config.clone().with_source(folder.path().to_str().unwrap());
        return load(&config, &Environment::default()).unwrap();
    }
    if !wants_images(config) {
        return load(config, &Environment::default()).unwrap();
    }
    let transform = Transform::fit(&images.train, config.data.pixels, config.data.scale).unwrap();
    TrainingData { transform: Arc::new(transform), ..images.clone() }
}

/// Coloured discs before a dark sky, 96 of them.
fn draw_pictures(folder: &Path) {
    const SIDE: u32 = 32;
    for i in 0..96u32 {
        let (x, y, radius) = (8 + i * 7 % 17, 8 + i * 5 % 17, 4 + i % 5);
        let colour = [i * 31 % 156, i * 57 % 156, i * 91 % 156].map(|c| 100 + c as u8);
        let picture = image::RgbImage::from_fn(SIDE, SIDE, |column, row| {
            let inside = column.abs_diff(x).pow(2) + row.abs_diff(y).pow(2) < radius * radius;
            image::Rgb(if inside { colour } else { [20, 20, 20 + row as u8] })
        });
        picture.save(folder.join(format!("{i:02}.png"))).unwrap();
    }
}

// ------------------------------------------------------------ training

/// Everything that every step tells.
struct Steps(Vec<Metrics>);

/// Records the steps and what the coach says, and stops after so many.
struct Recorder<'a> {
    steps: Steps,
    advice: Vec<Advice>,
    most: usize,
    stop: &'a AtomicBool,
}

impl Observer for Recorder<'_> {
    fn observe(&mut self, event: &Event<'_>) -> Result<(), String> {
        match event {
            Event::Step { values, .. } => {
                self.steps.0.push((*values).clone());
                self.stop.store(self.steps.0.len() >= self.most, Ordering::Relaxed);
            }
            Event::Advice { advice, .. } => self.advice.push((*advice).clone()),
            _ => {}
        }
        Ok(())
    }
}

impl Steps {
    /// One term at every step.
    fn term(&self, name: &str) -> Option<Vec<f64>> {
        let of = |values: &Metrics| values.iter().find(|(n, _)| n == name).map(|(_, v)| *v);
        self.0.iter().map(of).collect()
    }
}

fn new_trainer(
    config: &ValidConfig,
    images: &TrainingData,
    backend: &Backend,
) -> Result<Trainer, String> {
    Trainer::new(config.clone(), data_for(config, images), backend).map_err(|e| e.to_string())
}

/// Trains to the end. That a term is no number is an error.
fn train(trainer: &mut Trainer) -> Result<Steps, String> {
    train_at_most(trainer, usize::MAX)
}

/// Trains for so many steps. If more are left, no prior is fitted.
fn train_at_most(trainer: &mut Trainer, most: usize) -> Result<Steps, String> {
    let stop = AtomicBool::new(false);
    let (steps, advice) = (Steps(Vec::new()), Vec::new());
    let mut recorder = Recorder { steps, advice, most, stop: &stop };
    trainer.train(None, vec![&mut recorder], &stop).map_err(|e| e.to_string())?;
    // Nothing is wrong with a preset.
    if let Some(advice) = recorder.advice.first() {
        return Err(format!("a false alarm of the coach: {advice:?}"));
    }
    let steps = recorder.steps;
    let broken = steps.0.iter().flatten().find(|(_, value)| !value.is_finite());
    let broken = broken.map(|(name, value)| format!("{name} is {value}"));
    broken.map_or(Ok(steps), Err)
}

/// Checks the presets of a sort.
fn check_each(of: impl Fn(&ValidConfig) -> bool, test: impl Fn(&str) -> Result<(), String> + Sync) {
    let names: Vec<&str> =
        presets::ALL.iter().map(|(name, _)| *name).filter(|name| of(&preset(name))).collect();
    check(&names, test);
}

/// Checks presets, two at a time, and tells of all that fail. Trainings whose critic sees images take one core.
fn check(names: &[&str], check: impl Fn(&str) -> Result<(), String> + Sync) {
    assert!(!names.is_empty(), "there is no preset of this sort");
    let next = AtomicUsize::new(0);
    let some = || -> Vec<String> {
        let mut failures = Vec::new();
        while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
            failures.extend(check(name).err().map(|why| format!("{name}: {why}")));
        }
        failures
    };
    let failures: Vec<String> = std::thread::scope(|scope| {
        let others = scope.spawn(some);
        let mut failures = some();
        failures.extend(others.join().expect("a preset panicked"));
        failures
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A mean and its standard error.
fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

// ------------------------------------------------------------ the objective gets better

/// The term that falls where learning goes well.
fn watched(config: &ValidConfig) -> &'static str {
    match &config.objective {
        // The weight or the target of the KL rises, and the loss may rise with it.
        ObjectiveConfig::Elbo(c) if c.warmup_epochs > 0.0 || c.capacity > 0.0 => "reconstruction",
        // The rest of the loss is one side of a game.
        ObjectiveConfig::Adversarial(_) => "reconstruction",
        _ => "loss",
    }
}

/// Checks that a term is lower over the last 20 steps than over the first.
fn falls(term: &str, steps: &Steps) -> Result<(), String> {
    let values = steps.term(term).ok_or_else(|| format!("there is no term {term}"))?;
    let (first, last) = (mean(&values[..20]), mean(&values[values.len() - 20..]));
    // Batches differ; three standard errors are more than chance. (The first values differ mostly
    // by how fast they fall.)
    if first.0 - last.0 > 3.0 * last.1 {
        return Ok(());
    }
    Err(format!("{term} went from {first:?} to {last:?}"))
}

/// A generator of what `sample` gives: from the prior that was fitted, if one was.
fn generator(trainer: &Trainer, data: &TrainingData) -> Generator {
    Generator {
        vae: trainer.vae(),
        transform: Arc::clone(&data.transform),
        device: reference().device,
        seed: 1,
        // Before training no prior is fitted.
        prior: Some(trainer.prior_source().unwrap_or(PriorSource::Standard)),
    }
}

/// Checks that samples are numbers in the range of the data, and not all alike; of a model that is
/// trained without a prior, from one that was fitted.
fn can_be_sampled(trainer: &Trainer, data: &TrainingData) -> Result<(), String> {
    if trainer.prior_source().is_none() {
        return Err("no prior was fitted".to_owned());
    }
    let generator = generator(trainer, data);
    let samples = generator.sample(SOME, None, false).unwrap();
    let numbers = data.train.shape.len();
    if samples.len() != SOME * numbers || samples.iter().any(|v| !v.is_finite()) {
        return Err("samples are no numbers".to_owned());
    }
    let pictures = data.train.shape.dims().len() > 1;
    if pictures && samples.iter().any(|v| !(-1e-4..=1.0001).contains(v)) {
        return Err("samples are no pixels".to_owned());
    }
    let some: Vec<u32> = (0..SOME.min(data.train.len()) as u32).collect();
    let real = generator.originals(&data.train, &some).unwrap();
    let (varies, should) = (variation(&samples, numbers), variation(&real, numbers));
    // After so few steps an InfoVAE gives a hundredth; a GAN that has collapsed a thousandth and
    // less.
    if varies > 0.004 * should {
        return Ok(());
    }
    Err(format!("samples are nearly one: they vary by {varies}, the data by {should}"))
}

/// The variance of each number over rows, averaged over the numbers.
fn variation(rows: &[f32], numbers: usize) -> f64 {
    let column = |i: usize| rows[i..].iter().step_by(numbers).map(|v| f64::from(*v)).collect();
    let variance = |values: Vec<f64>| {
        let (mean, n) = (values.iter().sum::<f64>() / values.len() as f64, values.len() as f64);
        values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n
    };
    (0..numbers).map(|i| variance(column(i))).sum::<f64>() / numbers as f64
}

/// The discrepancy between samples of the model and images of its data.
fn discrepancy(trainer: &Trainer, data: &TrainingData, device: &Device) -> f64 {
    let generator = generator(trainer, data);
    let numbers = data.train.shape.len();
    let rows =
        |values: Vec<f32>| Tensor::<2>::from_data(TensorData::new(values, [SOME, numbers]), device);
    let samples = generator.sample(SOME, None, false).unwrap();
    let some: Vec<u32> = (0..SOME as u32).collect();
    let real = generator.originals(&data.train, &some).unwrap();
    // The bandwidth is about the standard deviation of a pixel.
    mmd(rows(samples), rows(real), Kernel::Imq, 0.3).into_scalar()
}

/// Trains a preset that compares no images and checks that it gets better. Gives what it has
/// become.
fn learns(name: &str, images: &TrainingData) -> Result<(ValidConfig, Trainer), String> {
    let (steps, batch) = schooling(name, &preset(name));
    let config = test_config(name, steps, batch, IMAGES);
    let mut trainer = new_trainer(&config, images, &reference())?;
    let steps = train(&mut trainer)?;
    falls(watched(&config), &steps)?;
    Ok((config, trainer))
}

/// Trains a preset whose critic sees x, and checks that samples move towards the data: neither side
/// of the game says how good they are. Gives what it has become.
fn moves_towards_the_data(
    name: &str,
    images: &TrainingData,
) -> Result<(ValidConfig, Trainer), String> {
    let (steps, batch) = schooling(name, &preset(name));
    let config = test_config(name, steps, batch, IMAGES);
    let (backend, data) = (reference(), data_for(&config, images));
    let mut trainer = new_trainer(&config, images, &backend)?;
    let before = discrepancy(&trainer, &data, &backend.device);
    train(&mut trainer)?;
    let after = discrepancy(&trainer, &data, &backend.device);
    // Untrained decoders are all grey. The way from there to any dark image is more than a fifth of
    // all.
    if after < 0.8 * before {
        return Ok((config, trainer));
    }
    Err(format!("from samples to images it was {before} and is {after}"))
}

fn compares_images(config: &ValidConfig) -> bool {
    config.objective.requirements().compares_x.is_some()
}

#[test]
fn every_preset_with_a_bound_or_a_reconstruction_learns_uses_its_latent_and_can_be_sampled() {
    let images = images("digits", IMAGES, &Environment::default());
    check_each(
        |config| !compares_images(config),
        |name| {
            let (config, trainer) = learns(name, &images)?;
            can_be_sampled(&trainer, &data_for(&config, &images))?;
            uses_its_latent(&config, &trainer.vae(), &data_for(&config, &images))
        },
    );
}

#[test]
fn samples_of_every_preset_whose_critic_sees_images_move_towards_the_data() {
    let images = images("digits", IMAGES, &Environment::default());
    check_each(compares_images, |name| {
        let (config, trainer) = moves_towards_the_data(name, &images)?;
        can_be_sampled(&trainer, &data_for(&config, &images))?;
        if !config.objective.requirements().trains_encoder {
            return Ok(());
        }
        uses_its_latent(&config, &trainer.vae(), &data_for(&config, &images))
    });
}

/// What the choice of data can matter to: how pixels become x, what explains them, what reads them.
fn kind_of_images(config: &ValidConfig) -> [String; 4] {
    [
        format!("{:?}", config.data.pixels),
        config.model.likelihood.kind().to_owned(),
        config.model.encoder.kind().to_owned(),
        compares_images(config).to_string(),
    ]
}

#[test]
fn a_preset_of_each_kind_of_images_learns_real_mnist() {
    let Some(folder) = data_dir() else { return };
    let environment = Environment { data_dir: Some(folder), ..Environment::default() };
    let images = images("mnist", IMAGES, &environment);
    let mut seen = BTreeSet::new();
    let mut presets: Vec<&str> = presets::ALL.iter().map(|(name, _)| *name).collect();
    // Of each kind, one that needs few steps.
    presets.sort_by_key(|name| schooling(name, &preset(name)).0);
    presets.retain(|name| {
        let config = preset(name);
        wants_images(&config) && seen.insert(kind_of_images(&config))
    });
    assert!(presets.len() > 4, "{presets:?}");
    check(&presets, |name| {
        let learned = match compares_images(&preset(name)) {
            true => moves_towards_the_data(name, &images),
            false => learns(name, &images),
        };
        learned.map(|_| ())
    });
}

// ------------------------------------------------------------ the latent is used

/// Checks that images are explained worse by the codes of others than by their own.
fn uses_its_latent(config: &ValidConfig, vae: &Vae, data: &TrainingData) -> Result<(), String> {
    let device = reference().device;
    let indices: Vec<u32> = (0..SOME.min(data.train.len()) as u32).collect();
    let n = indices.len();
    let pixels = Stream::new(1, "stochastic pixels, codes of others");
    let x = data.transform.gather(&data.train, &indices, &pixels);
    let x = Tensor::<2>::from_data(TensorData::new(x, [n, vae.numbers()]), &device);
    // The class stays with its image.
    let condition = (config.model.condition == Condition::Label)
        .then(|| one_hot_of(&data.train, &indices, data.classes, &device).unwrap());
    let codes = vae.encode(x.clone(), condition.as_ref()).mean();
    let next = vec![codes.clone().narrow(0, 1, n - 1), codes.clone().narrow(0, 0, 1)];
    let log_prob = |z: Tensor<2>| -> Vec<f64> {
        let p = vae.decode(z, condition.as_ref()).log_prob(x.clone());
        p.into_data().iter::<f64>().collect()
    };
    let (own, others) = (log_prob(codes), log_prob(Tensor::cat(next, 0)));
    let loss: Vec<f64> = own.iter().zip(&others).map(|(own, other)| own - other).collect();
    let (loss, error) = mean(&loss);
    // Four standard errors over the images, and more than a nat: a model that ignores z has 0 but
    // for what rounding leaves.
    if loss > 4.0 * error && loss > 1.0 {
        return Ok(());
    }
    Err(format!("the code of another image costs {loss} +- {error} nats"))
}

#[test]
fn the_exceptions_are_presets_that_train_an_encoder() {
    for (name, _) in SLOW {
        assert!(presets::text(name).is_some(), "there is no preset {name}");
        assert!(preset(name).objective.requirements().trains_encoder, "{name}");
    }
}

// ------------------------------------------------------------ backends agree

#[cfg(any(feature = "ndarray", feature = "wgpu"))]
mod other_backends {
    use super::*;

    /// Images to compute on: five steps of the larger batches.
    const FEW: usize = 80;

    #[cfg(feature = "ndarray")]
    #[test]
    fn every_preset_computes_on_ndarray_what_it_computes_on_flex() {
        vae_tests::on("ndarray", check);
    }

    #[cfg(feature = "wgpu")]
    #[test]
    fn every_preset_computes_on_wgpu_what_it_computes_on_flex() {
        vae_tests::on("wgpu", check);
    }

    fn check(backend: &Backend) {
        let images = images("digits", FEW, &Environment::default());
        check_each(|_| true, |name| agrees(name, &images, backend));
    }

    /// Trains a preset for a few steps on a backend.
    fn steps(name: &str, images: &TrainingData, backend: &Backend) -> Result<Steps, String> {
        let raw = preset(name);
        // Convolutions and many draws are slow on ndarray and on a software adapter.
        let batch = if is_conv(&raw) || draws(&raw) > 10 { 4 } else { 16 };
        let steps = if is_conv(&raw) { 2 } else { 5 };
        // One step more is left, because fitting a prior takes long on a software adapter.
        let config = test_config(name, steps + 1, Some(batch), FEW);
        train_at_most(&mut new_trainer(&config, images, backend)?, steps as usize)
    }

    /// Checks that a preset has the same losses on a backend as on the reference, step by step.
    fn agrees(name: &str, images: &TrainingData, backend: &Backend) -> Result<(), String> {
        let expected = steps(name, images, &reference())?;
        let found = steps(name, images, backend)?;
        for term in ["loss", "critic_loss", "discriminator_loss"] {
            let (Some(expected), Some(found)) = (expected.term(term), found.term(term)) else {
                continue;
            };
            assert!(expected.len() > 1 && expected.len() == found.len(), "{name}");
            for (step, (a, b)) in expected.iter().zip(&found).enumerate() {
                // The order of summation at first, then what steps of the optimizer make of it. A
                // critic's scores are about 1, and a loss made of them may be nearly 0.
                let relative = if step == 0 { 1e-4 } else { 5e-3 };
                if (a - b).abs() > relative * a.abs().max(1.0) {
                    return Err(format!("{term} of step {}: {b} is not {a}", step + 1));
                }
            }
        }
        Ok(())
    }
}
