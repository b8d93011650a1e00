//! Stopping anywhere and resuming gives the parameters of never stopping, to the bit.

use std::sync::atomic::{AtomicBool, Ordering};

use vae_data::{DataRecord, Environment};
use vae_model::parameters::parameters;
use vae_tests::{config, on, trainer};
use vae_train::{
    Backend, Checkpoint, CheckpointKind, Ending, Event, Observer, Run, Trainer, ValidConfig, data,
};

/// What is trained: a preset with an optimizer and further values.
struct Case {
    preset: &'static str,
    optimizer: &'static str,
    sets: &'static [&'static str],
}

/// Every optimizer; a critic with an optimizer of its own, on z and on x; a discriminator; what is
/// kept from the encoder, a condition, and a prior that uses the encoder; a codebook that moves
/// beside the optimizer; an average of the weights.
const CASES: [Case; 9] = [
    Case { preset: "mnist-mlp", optimizer: "adam", sets: STOCHASTIC },
    Case { preset: "mnist-mlp", optimizer: "adamw", sets: STOCHASTIC },
    Case { preset: "mnist-mlp", optimizer: "adam", sets: &["train.ema_decay=0.5"] },
    Case {
        preset: "mnist-mlp",
        optimizer: "sgd",
        sets: &["train.optimizer.momentum=0.9", "train.optimizer.learning_rate=1e-3"],
    },
    Case {
        preset: "factor-vae",
        optimizer: "rmsprop",
        sets: &["train.optimizer.learning_rate=1e-3", "objective.critic.hidden=[16, 16]"],
    },
    Case {
        preset: "wgan-gp",
        optimizer: "adam",
        sets: &["objective.critic_steps=2", "objective.critic.hidden=[16]"],
    },
    Case { preset: "vae-gan", optimizer: "adam", sets: &["objective.discriminator.hidden=[16]"] },
    Case {
        preset: "vamp",
        optimizer: "adam",
        sets: &["data.mask=0.2", "data.noise=0.1", "model.condition=label", "model.prior.k=20"],
    },
    Case {
        preset: "vq-vae",
        optimizer: "adam",
        // Few codes: a prior is fitted to them at the end of every training.
        sets: &[
            "model.posterior.restart=0.5",
            "model.latent=8",
            "model.posterior.num_embeddings=16",
        ],
    },
];

const STOCHASTIC: &[&str] = &["data.pixels=stochastic", "objective.warmup_epochs=2"];

/// Everything that has a state: moments, a schedule, clipping, pixels redrawn, validation, warm-up,
/// an uneven last batch.
fn all_state(case: &Case, steps: u64) -> ValidConfig {
    let mut sets = vec![
        "data.source=digits".to_owned(),
        "data.limit=1100".to_owned(),
        "data.validation=100".to_owned(),
        "train.batch_size=64".to_owned(),
        "train.clip_norm=5".to_owned(),
        "train.schedule.kind=cosine".to_owned(),
        "train.schedule.epochs=3".to_owned(),
        "train.schedule.last=1e-4".to_owned(),
        "train.log_every=7".to_owned(),
        // The bits do not depend on the size of the networks, and small ones are fast.
        "model.encoder.hidden=[16]".to_owned(),
        "model.decoder.hidden=[16]".to_owned(),
        format!("train.optimizer.kind={}", case.optimizer),
        format!("train.max_steps={steps}"),
    ];
    sets.extend(case.sets.iter().map(|set| (*set).to_owned()));
    config(case.preset, &sets.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Sets the flag once so many steps are logged, as Ctrl-C does.
struct StopAt<'a>(u64, &'a AtomicBool);

impl Observer for StopAt<'_> {
    fn observe(&mut self, event: &Event<'_>) -> Result<(), String> {
        if let Event::Step { step, .. } = event
            && *step >= self.0
        {
            self.1.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Checks that stopping after each of `stops` steps changes nothing for these cases.
fn check<'a>(backend: &Backend, cases: impl IntoIterator<Item = &'a Case>, stops: &[u64]) {
    let total = 45; // Sixteen steps make an epoch: two epochs and a part.
    for case in cases {
        let what = format!("{}, {}", case.preset, case.optimizer);
        let whole_config = all_state(case, total);
        let mut whole = trainer(&whole_config, backend);
        whole.train(None, vec![], &AtomicBool::new(false)).unwrap();
        let expected = whole.snapshot();

        // By a total that grows, in the middle of an epoch and at its end.
        for &stop in stops {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("part.vae");
            let mut part = trainer(&all_state(case, stop), backend);
            part.train(None, vec![], &AtomicBool::new(false)).unwrap();
            part.snapshot().write(&path).unwrap();
            let resumed = resume(&path, &whole_config, backend);
            assert_same(&resumed.snapshot(), &expected, &format!("{what} at {stop}"));
        }

        // By being asked to stop.
        let folder = tempfile::tempdir().unwrap();
        let run = Run::new(folder.path().join("run"));
        run.create().unwrap();
        let mut part = trainer(&whole_config, backend);
        let stop = AtomicBool::new(false);
        let ending = part.train(Some(&run), vec![&mut StopAt(20, &stop)], &stop).unwrap();
        assert_eq!(ending, Ending::Stopped);
        let resumed = resume(&run.checkpoint(CheckpointKind::Last), &whole_config, backend);
        assert_same(&resumed.snapshot(), &expected, &format!("{what}, asked to stop"));
    }
}

fn resume(path: &std::path::Path, config: &ValidConfig, backend: &Backend) -> Trainer {
    let checkpoint = Checkpoint::read(path, &backend.device).unwrap();
    let data = data::load(config, &Environment::default()).unwrap();
    let mut resumed = Trainer::resume(checkpoint, config.clone(), data, backend).unwrap();
    resumed.train(None, vec![], &AtomicBool::new(false)).unwrap();
    resumed
}

fn assert_same(found: &Checkpoint, expected: &Checkpoint, when: &str) {
    assert!(parameters(&found.vae) == parameters(&expected.vae), "parameters differ: {when}");
    let trained = [found, expected].map(|c| parameters(c.to_train()));
    assert!(trained[0] == trained[1], "trained parameters differ: {when}");
    assert!(found.optimizer == expected.optimizer, "the optimizer differs: {when}");
    assert!(
        parameters(&found.auxiliaries) == parameters(&expected.auxiliaries),
        "critics differ: {when}"
    );
    let optimizers = [&found.auxiliary_optimizers, &expected.auxiliary_optimizers];
    assert!(optimizers[0] == optimizers[1], "the critic's optimizer differs: {when}");
    let samplers = [found, expected].map(|c| c.fitted_prior.as_ref().map(|s| s.to_tensors()));
    assert!(samplers[0] == samplers[1], "the fitted prior differs: {when}");
    assert_eq!(samplers[0].is_some(), !expected.config.matches_prior(), "{when}");
    assert_eq!(found.progress.step, expected.progress.step, "{when}");
    assert_eq!(found.progress.best, expected.progress.best, "{when}");
    let moved = parameters(&found.vae);
    assert!(moved.values().any(|p| p.values.iter().any(|v| v.abs() > 1e-3)));
}

#[cfg(feature = "flex")]
#[test]
fn resuming_is_exact_on_flex() {
    on("flex", |backend| check(backend, &CASES, &[1, 16, 23]));
}

#[cfg(feature = "ndarray")]
#[test]
fn resuming_is_exact_on_ndarray() {
    // It is slow, and what a state consists of does not depend on the backend.
    let cases = ["mnist-mlp", "factor-vae", "vq-vae"]
        .map(|name| CASES.iter().find(|case| case.preset == name).unwrap());
    on("ndarray", |backend| check(backend, cases, &[23]));
}

#[test]
fn two_runs_of_one_seed_are_equal_and_of_two_seeds_are_not() {
    let backend = vae_tests::reference();
    let run = |seed: &str| {
        let sets = ["data.source=digits", "data.limit=640", "train.max_steps=8", seed];
        let mut trainer = trainer(&config("mnist-mlp", &sets), &backend);
        trainer.train(None, vec![], &AtomicBool::new(false)).unwrap();
        parameters(&trainer.vae())
    };
    assert!(run("train.seed=1") == run("train.seed=1"));
    assert!(run("train.seed=1") != run("train.seed=2"));
}

#[test]
fn resuming_on_other_data_is_refused() {
    let backend = vae_tests::reference();
    let sets = ["data.source=digits", "data.limit=640", "train.max_steps=2"];
    let config = config("mnist-mlp", &sets);
    let checkpoint = trainer(&config, &backend).snapshot();
    let mut other = data::load(&config, &Environment::default()).unwrap();
    other.record.fingerprint = "0123456789abcdef".to_owned();
    let refused = Trainer::resume(checkpoint, config, other, &backend);
    assert!(refused.is_err_and(|e| e.to_string().contains("other data")));
}

#[test]
fn resuming_with_other_labels_is_refused_if_the_model_reads_them() {
    let backend = vae_tests::reference();
    for (preset, reads) in [("conditional", true), ("mnist-mlp", false)] {
        let sets = ["data.source=digits", "data.limit=640", "train.max_steps=2"];
        let config = config(preset, &sets);
        let checkpoint = trainer(&config, &backend).snapshot();
        let mut other = data::load(&config, &Environment::default()).unwrap();
        let mut train = (*other.train).clone();
        train.labels.as_mut().unwrap().swap(0, 1);
        assert_ne!(train.labels, other.train.labels);
        other.record = DataRecord::of(&other.resolved, &train);
        match Trainer::resume(checkpoint, config, other, &backend) {
            Ok(_) => assert!(!reads, "{preset}"),
            Err(why) => {
                assert!(reads && why.to_string().contains("their labels have changed"), "{why}");
            }
        }
    }
}

#[test]
fn training_stops_early_and_keeps_the_best() {
    let backend = vae_tests::reference();
    // A learning rate of nearly nothing after the first epochs: the validation loss stands still.
    let sets = [
        "data.source=digits",
        "data.limit=600",
        "data.validation=100",
        "train.batch_size=50",
        "train.epochs=50",
        "train.patience=3",
        "train.schedule.kind=step",
        "train.schedule.epochs=1",
        "train.schedule.factor=1e-9",
    ];
    let config = config("mnist-mlp", &sets);
    let folder = tempfile::tempdir().unwrap();
    let run = Run::new(folder.path());
    run.create().unwrap();
    let mut trainer = trainer(&config, &backend);
    let ending = trainer.train(Some(&run), vec![], &AtomicBool::new(false)).unwrap();
    assert_eq!(ending, Ending::Early);
    let progress = trainer.progress();
    assert_eq!(progress.epoch, progress.best_epoch + 3);
    let best = Checkpoint::read(&run.checkpoint(CheckpointKind::Best), &backend.device).unwrap();
    assert_eq!(best.progress.epoch, progress.best_epoch);
    assert_eq!(run.best_or_last(), run.checkpoint(CheckpointKind::Best));
}
