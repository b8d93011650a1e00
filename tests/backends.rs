//! The backends against each other: loss, gradients, training, sampling, files.

use burn::tensor::{Tensor, TensorData};
use vae_data::rng::Stream;
use vae_data::{Environment, Pixels, Resident, Split, Transform};
use vae_eval::parity::{compare, loss_and_gradients};
use vae_eval::{Evaluator, KeyedNoise, Phase};
use vae_model::parameters::parameters;
use vae_model::{DataSpec, VaeConfig, VaeSpec};
use vae_tests::{config, losses, on_every_backend, reference, trainer};
use vae_train::{Backend, Checkpoint, data};

on_every_backend!(
    computes_the_same_loss_and_gradients,
    trains_the_same_way,
    decodes_the_same_from_the_same_z,
    draws_the_same_from_the_likelihood,
    reads_what_another_has_written,
    keeps_examples_in_its_own_memory,
);

fn keeps_examples_in_its_own_memory(backend: &Backend) {
    let config = config("mnist-mlp", &["data.source=digits", "data.limit=9"]);
    let examples = data::load(&config, &Environment::default()).unwrap().train;
    let (rows, draws) = ([5, 0, 8, 8], Stream::new(0, "none"));
    for pixels in [Pixels::Grey, Pixels::Signed, Pixels::Binary] {
        let transform = Transform::Pixels(pixels);
        let resident = Resident::new(&examples, &transform, &backend.device).unwrap();
        let found = resident.gather(&rows).into_data();
        let expected = transform.gather(&examples, &rows, &draws);
        assert_eq!(found.shape().as_slice(), [rows.len(), examples.shape.len()]);
        for (found, expected) in found.iter::<f32>().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{pixels:?}: {found} {expected}");
        }
    }
    // These are drawn anew in every epoch.
    let stochastic = Transform::Pixels(Pixels::Stochastic);
    assert!(Resident::new(&examples, &stochastic, &backend.device).is_none());
}

/// Relative difference that the first step may have: the order of summation, no more.
fn first_step(backend: &Backend) -> f64 {
    if backend.name == "wgpu" { 1e-4 } else { 1e-5 }
}

fn spec(config: VaeConfig, shape: &[usize]) -> VaeSpec {
    VaeSpec::new(config, DataSpec::new(shape)).unwrap()
}

fn model(text: &str) -> VaeSpec {
    let table: toml::Table = text.parse().unwrap();
    spec(table["model"].clone().try_into().unwrap(), &[1, 28, 28])
}

fn computes_the_same_loss_and_gradients(backend: &Backend) {
    assert!(compare(&reference().device, &backend.device).is_good());
    for text in [
        "[model]\nlatent = 3\n[model.encoder]\nhidden = [50, 20]\nactivation = \"tanh\"\n\
         head_depth = 2\n[model.likelihood]\nkind = \"gaussian\"\nsigma = 0.5\noutput = \"tanh\"",
        "[model.encoder]\nhidden = [40]\nactivation = \"silu\"\n[model.likelihood]\n\
         kind = \"gaussian\"\nsquared_error = true\noutput = \"sigmoid\"",
        "[model.encoder]\nhidden = []\nactivation = \"elu\"",
        "[model.encoder]\nhidden = [30]\nactivation = \"leaky-relu\"\n\
         [model.posterior]\nkind = \"point\"",
    ] {
        let model = model(text);
        let (expected, expected_gradients) = loss_and_gradients(&model, &reference().device);
        let (loss, gradients) = loss_and_gradients(&model, &backend.device);
        let relative = ((loss - expected) / expected).abs();
        assert!(relative < first_step(backend), "{text}: {loss} is not {expected}");
        assert_eq!(gradients.len(), expected_gradients.len());
        for (a, b) in gradients.iter().zip(&expected_gradients) {
            let norm = b.iter().map(|x| x * x).sum::<f64>().sqrt();
            let distance = a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt();
            assert!(distance <= 1e-3 * norm, "{text}: {distance} against {norm}");
        }
    }
}

fn trains_the_same_way(backend: &Backend) {
    // Software adapters are slow; the CPU backends go on for the 200 steps that are promised.
    let steps = if backend.name == "wgpu" { 20 } else { 200 };
    let max_steps = format!("train.max_steps={steps}");
    let config = config(
        "mnist-mlp",
        &[
            "model.encoder.hidden=[64]",
            "data.source=digits",
            "data.limit=12800",
            "train.log_every=1",
            &max_steps,
        ],
    );
    let expected = losses(&mut trainer(&config, &reference()));
    let found = losses(&mut trainer(&config, backend));
    assert_eq!(found.len(), steps);
    let relative = |i: usize| ((found[i] - expected[i]) / expected[i]).abs();
    assert!(relative(0) < first_step(backend), "step 1: {} {}", found[0], expected[0]);
    for i in 0..steps {
        assert!(relative(i) < 5e-3, "step {}: {} {}", i + 1, found[i], expected[i]);
    }
    assert!(found[steps - 1] < 0.85 * found[0], "the loss did not fall: {found:?}");
}

fn decodes_the_same_from_the_same_z(backend: &Backend) {
    let noise = KeyedNoise::new(3, Phase::Init);
    let decode = |backend: &Backend| -> Vec<f32> {
        let vae = spec(VaeConfig::default(), &[1, 28, 28]).init(&noise, &backend.device);
        let z = vae.prior(None, &backend.device).sample(&noise, 16, &backend.device);
        vae.decode(z, None).mean().into_data().iter::<f32>().collect()
    };
    let (expected, found) = (decode(&reference()), decode(backend));
    assert!(expected.iter().zip(&found).all(|(a, b)| (a - b).abs() < 1e-5));
    assert!(found.iter().any(|p| (p - 0.5).abs() > 0.01), "all decodings are empty");
}

fn draws_the_same_from_the_likelihood(backend: &Backend) {
    let noise = KeyedNoise::new(4, Phase::Init);
    let draw = |backend: &Backend| -> Vec<f32> {
        let vae = spec(VaeConfig::default(), &[1, 10, 10]).init(&noise, &backend.device);
        let z = vae.prior(None, &backend.device).sample(&noise, 16, &backend.device);
        vae.decode(z, None).sample(&noise).into_data().iter::<f32>().collect()
    };
    let (expected, found) = (draw(&reference()), draw(backend));
    assert!(found.iter().all(|x| *x == 0.0 || *x == 1.0));
    // A probability that differs in its last bit can turn a pixel, one in a million.
    let turned = expected.iter().zip(&found).filter(|(a, b)| a != b).count();
    assert!(turned <= 1, "{turned} pixels of {} differ", found.len());
}

fn reads_what_another_has_written(backend: &Backend) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.vae");
    let sets = ["data.source=digits", "data.limit=500", "train.max_steps=3"];
    let config = config("mnist-mlp", &sets);
    for (writer, reader) in [(backend, &reference()), (&reference(), backend)] {
        let mut trained = trainer(&config, writer);
        losses(&mut trained);
        trained.snapshot().write(&path).unwrap();
        let read = Checkpoint::read(&path, &reader.device).unwrap();
        // What is stored is stored to the bit, and comes from no other device than was asked for.
        assert_eq!(parameters(&read.vae), parameters(&trained.vae()));
        assert!(read.vae.encode(ones(reader), None).mean().device() == reader.device);
        let z = |vae: &vae_model::Vae, b: &Backend| -> Vec<f32> {
            vae.encode(ones(b), None).mean().into_data().iter::<f32>().collect()
        };
        let (a, b) = (z(&trained.vae(), writer), z(&read.vae, reader));
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-4), "{a:?} {b:?}");
        // The same random z: the same bound.
        let bound = |vae: &vae_model::Vae, b: &Backend| {
            let environment = Environment::default();
            let data = data::load(&config, &environment).unwrap();
            let mut test = data.resolved.read(Split::Test, &environment).unwrap();
            test.truncate(100);
            let evaluator = Evaluator::new(test.into(), data.transform, b.device.clone(), 0);
            evaluator.unwrap().evaluate(vae, 0, &|_| {}).unwrap().neg_elbo.unwrap()
        };
        let (a, b) = (bound(&trained.vae(), writer), bound(&read.vae, reader));
        assert!((a - b).abs() < 0.01, "neg_elbo {a} and {b}");
    }
}

fn ones(backend: &Backend) -> Tensor<2> {
    Tensor::from_data(TensorData::new(vec![1.0f32; 784], [1, 784]), &backend.device)
}
