//! Real MNIST, where it is at hand: the loss after an epoch, against PyTorch; and what a trained
//! encoder is worth where labels are few.

use std::sync::atomic::AtomicBool;

use vae_data::{Environment, Split};
use vae_eval::classify::{Classification, Mode, accuracy};
use vae_eval::mean_and_interval;
use vae_model::classifier::FeatureLayer;
use vae_tests::{config, data_dir, judged, reference, say};
use vae_train::{Trainer, data};

/// Test neg_elbo after so many epochs of a preset.
fn neg_elbo(preset: &str, epochs: u64) -> Option<f64> {
    let folder = data_dir()?;
    let environment = Environment { data_dir: Some(folder), ..Environment::default() };
    let config = config(preset, &["data.source=mnist", &format!("train.epochs={epochs}")]);
    judged(&config, &environment, usize::MAX, 0).neg_elbo
}

// PyTorch 2.15, the same model, loss and hyper-parameters, test split after the epoch: one run
// each. Two runs there differ by about half a nat after one epoch; a wrong KL, a wrong
// initialization or noise drawn once differ by far more.
#[test]
fn mnist_mlp_learns_in_an_epoch_what_it_learns_in_pytorch() {
    if let Some(found) = neg_elbo("mnist-mlp", 1) {
        assert!((found - 127.4).abs() < 2.0, "{found}");
    }
}

#[test]
fn mnist_tanh_learns_in_an_epoch_what_it_learns_in_pytorch() {
    if let Some(found) = neg_elbo("mnist-tanh", 1) {
        assert!((found - 87.7).abs() < 2.0, "{found}");
    }
}

#[test]
fn a_trained_encoder_fine_tuned_on_ten_labels_a_class_beats_the_same_network_from_scratch() {
    const SEEDS: u64 = 6;
    let Some(folder) = data_dir() else { return };
    let environment = Environment { data_dir: Some(folder), ..Environment::default() };
    let config = config("denoising", &["data.source=mnist", "data.limit=20000", "train.epochs=5"]);
    let data = data::load(&config, &environment).unwrap();
    let (transform, resolved, train) =
        (data.transform.clone(), data.resolved.clone(), data.train.clone());
    let device = reference().device;
    let mut trainer = Trainer::new(config, data, &reference()).unwrap();
    trainer.train(None, vec![], &AtomicBool::new(false)).unwrap();
    let test = resolved.read(Split::Test, &environment).unwrap();
    // What `classify` does when nothing is said.
    let task = Classification {
        vae: trainer.vae(),
        transform,
        device,
        train,
        labels: Some(10),
        features: FeatureLayer::Trunk,
        steps: 300,
        learning_rate: 1e-3,
    };
    let read = |mode, seed| {
        accuracy(&task.classify(&task.train(mode, seed).unwrap(), &test).unwrap(), &test).unwrap()
    };
    let gains: Vec<f64> =
        (0..SEEDS).map(|seed| read(Mode::FineTune, seed) - read(Mode::Scratch, seed)).collect();
    let (gain, interval) = mean_and_interval(&gains);
    let interval = interval.unwrap();
    say(&format!("fine-tuned - from scratch: {:.2} +- {:.2} %", 100.0 * gain, 100.0 * interval));
    assert!(gain > interval, "{gains:?}");
}
