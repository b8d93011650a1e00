//! Export and import of every preset: the same bits in every parameter.

use std::collections::BTreeMap;
use std::path::PathBuf;

use burn::tensor::Device;
use vae_data::{DataRecord, Transform};
use vae_eval::{FittedPrior, KeyedNoise, Phase};
use vae_model::init::{Init, Stored};
use vae_model::parameters::parameters;
use vae_model::prior::CodePrior;
use vae_model::{DataSpec, Vae, VaeSpec};
use vae_train::optimizer::OptimizerState;
use vae_train::{Backend, Checkpoint, Override, Progress, RunRecord, ValidConfig, presets};

use super::*;
use crate::ExportError;

fn device() -> Device {
    Backend::any_cpu().unwrap().device
}

/// Numbers with other bits in every parameter and at every place.
fn filled(tensors: BTreeMap<String, Stored>) -> BTreeMap<String, Stored> {
    let value = |i: usize, path: &str| (i as f32 + 0.1).sin() + path.len() as f32 / 7.0;
    let fill = |(path, Stored { shape, values }): (String, Stored)| {
        let values = (0..values.len()).map(|i| value(i, &path)).collect();
        (path, Stored { shape, values })
    };
    tensors.into_iter().map(fill).collect()
}

/// A trained model of a preset, without the training.
fn checkpoint(preset: &str, sets: &[&str]) -> Checkpoint {
    let sets: Vec<Override> = sets.iter().map(|s| Override::set(s).unwrap()).collect();
    let config = presets::resolve(preset, &sets).unwrap();
    let settings = config.data.source_settings();
    let of_source = vae_data::source::layout(&config.data.source, &settings);
    let (shape, classes) = match (of_source, config.data.size) {
        (Some((shape, classes)), _) => (shape.dims(), classes),
        (None, size) => size.map(|(height, width)| (vec![3, height, width], 0)).unwrap(),
    };
    let spec = VaeSpec::new(config.model.clone(), DataSpec { shape, classes }).unwrap();
    let initial = spec.init(&KeyedNoise::new(0, Phase::Init), &device());
    let vae = spec.load(filled(parameters(&initial)), &device()).unwrap();
    let transform = match vae.shape().len() {
        3 => Transform::Pixels(config.data.pixels),
        _ => Transform::Affine { offset: vec![0.5; vae.numbers()], unit: vec![2.0; vae.numbers()] },
    };
    Checkpoint {
        fitted_prior: if config.matches_prior() { None } else { Some(fitted(&vae)) },
        transform,
        data: DataRecord {
            source: config.data.source.clone(),
            examples: 9,
            ..DataRecord::default()
        },
        progress: Progress { step: 7, epoch: 3, ..Progress::default() },
        run: RunRecord::default(),
        optimizer: OptimizerState::default(),
        auxiliaries: Vec::new(),
        auxiliary_optimizers: Vec::new(),
        trained: None,
        config,
        vae,
    }
}

fn fitted(vae: &Vae) -> FittedPrior {
    if let Some(space) = vae.code_space() {
        let (noise, device) = (KeyedNoise::new(1, Phase::Init), device());
        let init = Init::drawn(&noise, &device);
        return FittedPrior::Codes(CodePrior::new(&init, space.num_embeddings, space.positions));
    }
    let d = vae.config().latent;
    let factor = |i: usize| if i / d == i % d { 1.25 } else { i as f32 * 1e-3 };
    let tensors = [
        ("weights", vec![2], vec![0.25, 0.75]),
        ("means", vec![2, d], (0..2 * d).map(|i| i as f32 / 3.0).collect()),
        ("factors", vec![2, d, d], (0..2 * d * d).map(|i| factor(i % (d * d))).collect()),
    ];
    let tensors = tensors.map(|(name, shape, values)| (name.to_owned(), Stored { shape, values }));
    FittedPrior::from_tensors(tensors.into(), vae, &device()).unwrap().unwrap()
}

/// A file with these bytes.
fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn imported(bytes: &[u8], config: ValidConfig) -> Result<Checkpoint, ExportError> {
    let (_folder, path) = file(bytes);
    import(&WeightFile::open(&path)?, config, Input::default(), None, &device())
}

fn assert_round_trip(name: &str, before: &Checkpoint) {
    let after = imported(&to_safetensors(before).unwrap(), before.config.clone()).unwrap();
    let bits = |checkpoint: &Checkpoint| -> Vec<(String, Vec<usize>, Vec<u32>)> {
        let fitted = checkpoint.fitted_prior.iter().flat_map(|prior| prior.to_tensors());
        parameters(&checkpoint.vae)
            .into_iter()
            .chain(fitted)
            .map(|(path, t)| (path, t.shape, t.values.iter().map(|v| v.to_bits()).collect()))
            .collect()
    };
    assert!(bits(before) == bits(&after), "{name}");
    assert_eq!(after.vae.spec(), before.vae.spec(), "{name}");
    assert_eq!(after.transform, before.transform, "{name}");
    assert_eq!((&after.data, &after.progress), (&before.data, &before.progress), "{name}");
    assert!(after.run.imported.is_some() && after.check_resumable().is_err(), "{name}");
}

/// Checks that the table of names in docs/pytorch.md has all tensors of a model.
fn assert_documented(name: &str, checkpoint: &Checkpoint) {
    const TABLE: &str = include_str!("../../../../docs/pytorch.md");
    for tensor in super::safetensors::tensors(checkpoint).keys() {
        let part = |part| if str::parse::<usize>(part).is_ok() { "N" } else { part };
        let row = tensor.split('.').map(part).collect::<Vec<_>>().join(".");
        let both = row.strip_suffix(".weight").or(row.strip_suffix(".bias"));
        let both = both.map_or(row.clone(), |module| format!("{module}.*"));
        let found = [row, both].iter().any(|row| TABLE.contains(&format!("`{row}`")));
        assert!(found, "{name}: `{tensor}` is not in docs/pytorch.md");
    }
}

#[test]
fn every_preset_keeps_every_bit() {
    for (preset, _) in presets::ALL {
        let checkpoint = checkpoint(preset, &[]);
        assert_documented(preset, &checkpoint);
        assert_round_trip(preset, &checkpoint);
    }
}

#[test]
fn choices_without_a_preset_keep_every_bit() {
    for sets in [
        &["model.prior.kind=mixture", "model.prior.components=learned"][..],
        &["model.condition=label", "model.prior.kind=vamp"],
        &["model.likelihood.kind=gaussian", "model.likelihood.spread=global"],
        &["model.encoder.kind=conv", "model.encoder.residual=1", "model.encoder.groups=4"],
        &["model.encoder.head_depth=3", "model.encoder.gated=true"],
        &["data.source=curves", "model.likelihood.kind=gaussian"],
    ] {
        let (name, checkpoint) = (sets.join(" "), checkpoint("mnist-mlp", sets));
        assert_documented(&name, &checkpoint);
        assert_round_trip(&name, &checkpoint);
    }
}

/// The error of an import of `checkpoint`'s export into another configuration.
fn refusal(checkpoint: &Checkpoint, preset: &str, sets: &[&str]) -> String {
    let sets: Vec<Override> = sets.iter().map(|s| Override::set(s).unwrap()).collect();
    let config = presets::resolve(preset, &sets).unwrap();
    let error = imported(&to_safetensors(checkpoint).unwrap(), config).unwrap_err();
    assert!(error.is_request());
    error.to_string()
}

#[test]
fn all_differences_are_listed_at_once() {
    let small = &["model.encoder.hidden=[8]"];
    let error =
        refusal(&checkpoint("mnist-mlp", small), "mnist-mlp", &["model.encoder.hidden=[8,4]"]);
    for part in [
        "missing:\n",
        "`encoder.layers.1.weight` [4, 8]",
        "`encoder.layers.1.bias` [4]",
        "of another shape:\n",
        "`posterior.mean.output.weight` [20, 8], must be [20, 4]",
        "`posterior.log_var.output.weight` [20, 8], must be [20, 4]",
        "`decoder.trunk.layers.0.weight` [8, 20], must be [4, 20]",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let flow = checkpoint("iaf", &["model.encoder.hidden=[8]"]);
    let error =
        refusal(&flow, "iaf", &["model.encoder.hidden=[8]", "model.posterior.flow_steps=0"]);
    assert!(error.contains("not in the model:\n    `posterior.context.output.bias` ["), "{error}");
    assert!(error.contains("`posterior.flow.0.gate.weight` [") && !error.contains("missing"));
}
