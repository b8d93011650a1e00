//! Learned priors against the standard one: the same networks, data, epochs and test images, and
//! the likelihood of each image under both.

use vae_data::Environment;
use vae_eval::Mean;
use vae_tests::{config, judged, say};

/// -log p(x) of test images in nats, after a short training of a preset.
fn nll(preset: &str, sets: &[&str]) -> Vec<f64> {
    // The warm-up of the presets would last for all of it.
    let short = [
        "data.source=digits",
        "data.limit=6000",
        "train.epochs=5",
        "objective.warmup_epochs=1",
        "train.optimizer.learning_rate=1e-3",
    ];
    judged(&config(preset, &[&short, sets].concat()), &Environment::default(), 500, 50).nll_each
}

// Over 20 epochs of MNIST, which takes longer than a test may, a flow as the posterior does so too:
// docs/models.md has those figures.
#[test]
fn learned_priors_explain_test_images_better_than_the_standard_one() {
    let standard = nll("gated", &[]);
    assert_eq!(standard.len(), 500);
    for (preset, sets) in [("vamp", &["model.prior.k=100"][..]), ("realnvp", &[])] {
        let found = Mean::of_differences(&nll(preset, sets), &standard).unwrap();
        let (difference, error) = (found.value, found.stderr.unwrap());
        say(&format!(
            "nll of {preset} less that of a standard prior: {difference:.2} +- {error:.2}"
        ));
        assert!(difference < -2.0 * error, "{preset}: {found:?}");
    }
}
