//! The folder of a model for a hub: weights, configuration, and a model card written from the figures
//! of the run.

use std::fmt::Write;

use serde_json::{Map, Value};
use vae_data::{Pixels, Transform};
use vae_model::config::Choice;
use vae_model::parameters::parameters;
use vae_train::{Checkpoint, MetricsLog};

use super::{Description, to_safetensors};
use crate::error::ExportError;

/// Returns the files of a hub folder, by name: `model.safetensors`, `config.json` and `README.md`.
///
/// `name` is that of the model, and `log` has the lines of `metrics.jsonl`
/// ([`vae_train::Run::history`]).
///
/// # Errors
/// As [`to_safetensors`].
pub fn hub_files(
    checkpoint: &Checkpoint,
    name: &str,
    log: &[Map<String, Value>],
) -> Result<[(&'static str, Vec<u8>); 3], ExportError> {
    let description = Description::of(checkpoint);
    let mut card = String::new();
    match write_card(&mut card, checkpoint, &description, name, log) {
        Ok(()) => {}
        Err(why) => unreachable!("a text in memory can always be written: {why}"),
    }
    Ok([
        ("model.safetensors", to_safetensors(checkpoint)?),
        ("config.json", description.to_json().into_bytes()),
        ("README.md", card.into_bytes()),
    ])
}

fn write_card(
    card: &mut String,
    checkpoint: &Checkpoint,
    description: &Description,
    name: &str,
    log: &[Map<String, Value>],
) -> std::fmt::Result {
    let (config, model) = (&checkpoint.config, &checkpoint.config.model);
    let weights: usize = parameters(&checkpoint.vae).values().map(|p| p.values.len()).sum();
    writeln!(card, "---\ntags:\n- variational-autoencoder\n---\n\n# {name}\n")?;
    writeln!(card, "A variational autoencoder, exported by {}.\n", description.program)?;
    writeln!(card, "| part | choice |\n|---|---|")?;
    for (part, choice) in [
        ("input", format!("{:?}", description.input)),
        ("encoder", model.encoder.summary()),
        (
            "posterior q(z\\|x)",
            format!("{}, z has {} dimensions", model.posterior.kind(), model.latent),
        ),
        ("prior p(z)", prior(description, model.prior.kind())),
        ("decoder", model.decoder.summary()),
        ("likelihood p(x\\|z)", model.likelihood.kind().to_owned()),
        ("objective", config.objective.kind().to_owned()),
        ("classes", classes(checkpoint)),
        ("weights", weights.to_string()),
    ] {
        writeln!(card, "| {part} | {choice} |")?;
    }
    write_data(card, checkpoint)?;
    write_training(card, checkpoint)?;
    write_figures(card, checkpoint, log)?;
    let use_it = if trains_encoder(checkpoint) { "reconstruct" } else { "sample" };
    writeln!(
        card,
        "\n## Use\n\n\
         ```python\n\
         import json\n\
         from safetensors.torch import load_file\n\n\
         weights = load_file(\"model.safetensors\")    # names and layouts as in PyTorch\n\
         config = json.load(open(\"config.json\"))     # configuration, input, transform\n\
         ```\n\n\
         `docs/pytorch.md` of vae-cli explains the names, and its `docs/load_export.py` rebuilds \
         encoder and decoder in PyTorch. To use the model in vae-cli:\n\n\
         ```sh\n\
         vae-cli import model.safetensors --out runs/imported\n\
         vae-cli {use_it} --run runs/imported\n\
         ```\n\n\
         ## Configuration\n\n\
         ```toml\n{}```",
        config.to_toml()
    )
}

fn prior(description: &Description, kind: &str) -> String {
    match description.prior.as_deref() {
        Some("fitted") => "fitted on the codes of the training data, after training".to_owned(),
        Some(_) => kind.to_owned(),
        None => "none: the model was trained without one".to_owned(),
    }
}

fn classes(checkpoint: &Checkpoint) -> String {
    match checkpoint.vae.classes() {
        0 => "the model uses no labels".to_owned(),
        n => n.to_string(),
    }
}

fn write_data(card: &mut String, checkpoint: &Checkpoint) -> std::fmt::Result {
    let data = &checkpoint.data;
    writeln!(card, "\n## Data\n")?;
    match data.examples {
        0 => writeln!(card, "It is not recorded which data the model was trained on.")?,
        n => writeln!(
            card,
            "{n} training examples of `{}`; the first bytes of a hash of their values are `{}`.",
            data.source, data.fingerprint
        )?,
    }
    let transform = match &checkpoint.transform {
        Transform::Pixels(pixels) => match pixels {
            Pixels::Grey => "x is byte / 255 of each pixel.",
            Pixels::Signed => "x is 2 byte / 255 - 1 of each pixel.",
            Pixels::Binary => "x is 1 for a byte of 128 and above, otherwise 0.",
            Pixels::Stochastic => "x is 1 with probability byte / 255, otherwise 0.",
        },
        Transform::Affine { offset, .. } if offset.is_empty() => "x are the values.",
        Transform::Affine { .. } => {
            "x = (value - offset) / unit, with the offset and the unit of each column in \
             `config.json`."
        }
    };
    writeln!(card, "{transform}")
}

fn write_training(card: &mut String, checkpoint: &Checkpoint) -> std::fmt::Result {
    let (progress, run) = (&checkpoint.progress, &checkpoint.run);
    writeln!(card, "\n## Training\n")?;
    if run.imported.is_some() {
        writeln!(card, "The weights were imported from a file of another program or run.")?;
    }
    if progress.step > 0 {
        writeln!(
            card,
            "{} epochs, {} steps of {} examples, with {}, seed {}.",
            progress.epoch,
            progress.step,
            checkpoint.config.train.batch_size,
            checkpoint.config.train.optimizer.kind(),
            checkpoint.config.train.seed
        )?;
    }
    let decay = checkpoint.config.train.ema_decay;
    if decay > 0.0 {
        writeln!(
            card,
            "The weights are a moving average over the steps, with a decay of {decay}."
        )?;
    }
    if !run.backend.is_empty() {
        let (backend, device, version) = (&run.backend, &run.device, &run.version);
        writeln!(card, "Backend {backend} on {device}; vae-cli {version}.")?;
    }
    Ok(())
}

/// Writes the averages of the newest epoch that was finished at the time of the checkpoint.
fn write_figures(
    card: &mut String,
    checkpoint: &Checkpoint,
    log: &[Map<String, Value>],
) -> std::fmt::Result {
    let step = |line: &Map<String, Value>| line.get("step").and_then(Value::as_u64);
    let newest = |split: &str| {
        log.iter().rev().find(|line| {
            line.get("split").and_then(Value::as_str) == Some(split)
                && line.get("average").and_then(Value::as_str) == Some("epoch")
                && step(line).is_some_and(|step| step <= checkpoint.progress.step)
        })
    };
    let lines: Vec<_> = ["train", "validation"].into_iter().filter_map(newest).collect();
    let Some(first) = lines.first() else { return Ok(()) };
    let terms: Vec<&String> = MetricsLog::terms(first).collect();
    writeln!(
        card,
        "\n## Figures\n\nAverages per example, in nats where they are log-densities.\n"
    )?;
    let names: Vec<&str> = terms.iter().map(|term| term.as_str()).collect();
    writeln!(card, "| examples | epoch | {} |", names.join(" | "))?;
    writeln!(card, "|{}", "---|".repeat(2 + names.len()))?;
    for line in &lines {
        let text = |key: &str| line.get(key).and_then(Value::as_str).unwrap_or_default();
        let values: Vec<String> = terms
            .iter()
            .map(|term| {
                let value = line.get(*term).and_then(Value::as_f64);
                value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"))
            })
            .collect();
        let epoch = line.get("epoch").and_then(Value::as_u64).unwrap_or_default();
        writeln!(card, "| {} | {epoch} | {} |", text("split"), values.join(" | "))?;
    }
    writeln!(card, "\n- train: over the batches of the epoch, while the weights changed.")?;
    if lines.len() > 1 {
        let held_out = match checkpoint.config.data.validation {
            0 => "examples of the data set's own validation split".to_owned(),
            n => format!("{n} held-out examples"),
        };
        let weights = match checkpoint.config.train.ema_decay > 0.0 {
            true => "the average of the weights",
            false => "the weights",
        };
        writeln!(
            card,
            "- validation: over all {held_out}, with {weights} at the end of the \
             epoch."
        )?;
    }
    let has = |term: &str| names.contains(&term);
    let bound =
        if has("neg_elbo") { ", and neg_elbo, the sum of reconstruction and kl" } else { "" };
    writeln!(card, "- loss: what training minimizes. The other columns are its terms{bound}.")?;
    if has("reconstruction") {
        writeln!(
            card,
            "- reconstruction: -log p(x|z) of the {} likelihood. On grey pixels, and without a \
             normalizing constant, it is a loss, not a likelihood.",
            checkpoint.config.model.likelihood.kind()
        )?;
    }
    if has("kl") {
        writeln!(card, "- kl: the divergence of q(z|x) from p(z).")?;
    }
    if trains_encoder(checkpoint) {
        writeln!(
            card,
            "- No test data were evaluated for this card; `vae-cli evaluate` does that."
        )?;
    }
    Ok(())
}

fn trains_encoder(checkpoint: &Checkpoint) -> bool {
    checkpoint.config.objective.requirements().trains_encoder
}
