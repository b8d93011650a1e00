//! The coach: each thing that it warns of, provoked. (`presets.rs` shows that it is silent on every
//! preset.)

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

use vae_tests::{config, reference, trainer};
use vae_train::coach::{Advice, RULES};
use vae_train::{Event, Observer};

/// What the coach says in a training.
#[derive(Default)]
struct Heard(Vec<Advice>);

impl Observer for Heard {
    fn observe(&mut self, event: &Event<'_>) -> Result<(), String> {
        if let Event::Advice { advice, .. } = event {
            self.0.push((*advice).clone());
        }
        Ok(())
    }
}

/// Trains a preset with values above it, and returns what the coach says.
fn advice(preset: &str, sets: &[&str]) -> Vec<Advice> {
    let mut heard = Heard::default();
    let mut trainer = trainer(&config(preset, sets), &reference());
    trainer.train(None, vec![&mut heard], &AtomicBool::new(false)).unwrap();
    heard.0
}

/// Trains, and checks that the coach gives one advice, which names a setting.
fn provokes(code: &str, setting: &str, preset: &str, sets: &[&str]) {
    let heard = advice(preset, sets);
    let codes: Vec<&str> = heard.iter().map(|advice| advice.code.as_str()).collect();
    assert!(codes.contains(&code), "{code} is not in {heard:?}");
    let found = heard.iter().find(|advice| advice.code == code).unwrap();
    assert!(found.advice.contains(setting), "{found:?}");
    assert_eq!(codes.len(), codes.iter().collect::<BTreeSet<_>>().len(), "said twice: {heard:?}");
}

const DIGITS: &str = "data.source=digits";
const FEW: &str = "data.limit=2000";
const STEPS: &str = "train.max_steps=240";

#[test]
fn a_kl_that_weighs_too_much_collapses_the_posterior() {
    let sets = [DIGITS, FEW, STEPS, "objective.beta=50"];
    provokes("posterior-collapse", "objective.beta = 50", "mnist-mlp", &sets);
}

#[test]
fn weights_of_the_parts_of_the_kl_that_are_too_large_collapse_the_posterior() {
    let weights = ["objective.alpha=50", "objective.beta=50", "objective.gamma=50"];
    let sets = [[DIGITS, FEW, STEPS], weights].concat();
    provokes("posterior-collapse", "objective.alpha, beta and gamma", "beta-tcvae", &sets);
}

#[test]
fn a_high_learning_rate_lets_the_loss_rise() {
    let sets = [DIGITS, FEW, STEPS, "train.optimizer.learning_rate=0.1"];
    provokes("learning-rate", "train.optimizer.learning_rate", "mnist-mlp", &sets);
}

#[test]
fn a_weight_of_the_kl_for_an_averaged_loss_is_named_before_the_first_step() {
    let sets = [DIGITS, FEW, "train.max_steps=1", "objective.beta=0.001"];
    provokes("averaged-loss", "objective.beta = 0.784", "mnist-mlp", &sets);
}

#[test]
fn without_its_weight_the_kl_explodes() {
    let sets = [DIGITS, FEW, STEPS, "objective.beta=0.0001", "model.latent=2"];
    provokes("exploding-kl", "raise the weight of the KL", "mnist-mlp", &sets);
}

#[test]
fn a_large_network_on_few_examples_over_fits() {
    let sets = [
        DIGITS,
        "data.limit=100",
        "data.validation=50",
        "train.batch_size=25",
        "train.epochs=120",
        "train.optimizer.learning_rate=0.003",
    ];
    provokes("over-fitting", "train.patience", "mnist-mlp", &sets);
}

#[test]
fn a_generator_that_makes_one_picture_has_collapsed() {
    // The critic knows samples from data at once, so that the generator learns nothing.
    let sets = [
        DIGITS,
        FEW,
        "train.max_steps=2000",
        "train.batch_size=16",
        "train.critic_optimizer.kind=adam",
        "train.critic_optimizer.learning_rate=0.02",
        "train.optimizer.learning_rate=0.02",
    ];
    provokes("sample-collapse", "train.critic_optimizer", "gan", &sets);
}

#[test]
fn data_of_another_range_is_named_before_the_first_step() {
    let folder = tempfile::tempdir().unwrap();
    let source = |name: &str| folder.path().join(name).display().to_string();
    // Pictures from 0 to 1, saved as bytes.
    let pixels: Vec<u8> = (0..64 * 28 * 28).map(|i| u8::from(i % 3 == 0)).collect();
    let mut idx = vec![0, 0, 8, 3];
    for n in [64u32, 28, 28] {
        idx.extend(n.to_be_bytes());
    }
    idx.extend(&pixels);
    std::fs::write(folder.path().join("dark-images-idx3-ubyte"), idx).unwrap();
    let data = format!("data.source={}", source("dark-images-idx3-ubyte"));
    let few = ["train.max_steps=1", "train.batch_size=16"];
    provokes("pixel-range", "by 255", "mnist-mlp", &[&data, few[0], few[1]]);

    let row = |i: usize| format!("{}e-5,{}e-5\n", i, 300 - i);
    let table: String = ["a,b\n".to_owned()].into_iter().chain((0..64).map(row)).collect();
    std::fs::write(folder.path().join("far.csv"), table).unwrap();
    let data = format!("data.source={}", source("far.csv"));
    let gaussian = "model.likelihood.kind=gaussian";
    provokes("data-scale", "standardize", "mnist-mlp", &[&data, gaussian, few[0], few[1]]);
}

#[test]
fn every_rule_is_provoked_here_and_described_in_the_documents() {
    let here = include_str!("coach.rs");
    let described = include_str!("../docs/models.md");
    for rule in RULES {
        assert!(here.contains(&format!("provokes(\"{}\"", rule.code)), "{}", rule.code);
        assert!(described.contains(&format!("| `{}` |", rule.code)), "{}", rule.code);
    }
}
