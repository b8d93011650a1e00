//! `presets`: lists the presets, or prints one.

use anyhow::Result;
use clap::Args;
use serde_json::json;
use vae_model::Condition;
use vae_train::presets;

use crate::commands::Execute;
use crate::failure::request;
use crate::output::axis::Chosen;
use crate::output::printer::Printer;
use crate::output::text::columns;

/// List the presets with their choice on each axis, or print one.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli presets\n  vae-cli presets mnist-mlp > my.toml")]
pub struct PresetsArgs {
    /// Preset to print as TOML, to start your own configuration from [default: list all presets].
    pub name: Option<String>,
}

impl Execute for PresetsArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        if let Some(name) = &self.name {
            let text = presets::text(name).ok_or_else(|| {
                request(format!("there is no preset `{name}`; `vae-cli presets` lists them"))
            })?;
            return printer.result(text, || json!({ "name": name, "toml": text }));
        }
        let header = [
            "preset",
            "data",
            "encoder",
            "latent",
            "posterior",
            "prior",
            "likelihood",
            "objective",
        ];
        let mut rows = vec![header.map(String::from).to_vec()];
        let mut objects = Vec::new();
        for (name, text) in presets::ALL {
            let config = presets::resolve(name, &[])?;
            let model = &config.model;
            let latent = match model.condition {
                Condition::None => model.latent.to_string(),
                Condition::Label => format!("{} + label", model.latent),
            };
            let posterior = Chosen::new(&model.posterior);
            let prior = Chosen::of_prior(&config);
            let likelihood = Chosen::new(&model.likelihood);
            let objective = Chosen::new(&config.objective);
            let mut data = config.data.source.clone();
            for (name, value) in [("noise", config.data.noise), ("mask", config.data.mask)] {
                if value > 0.0 {
                    data += &format!(" {name}={value}");
                }
            }
            let encoder =
                config.objective.requirements().trains_encoder.then(|| model.encoder.summary());
            let network = encoder
                .clone()
                .unwrap_or_else(|| format!("none, decoder {}", model.decoder.summary()));
            rows.push(vec![
                (*name).to_owned(),
                data,
                network,
                latent,
                posterior.text(),
                prior.text(),
                likelihood.text(),
                objective.text(),
            ]);
            objects.push(json!({
                "preset": name,
                "about": presets::description(text).collect::<Vec<_>>().join(" "),
                "data": config.data.source,
                "noise": config.data.noise,
                "mask": config.data.mask,
                "encoder": encoder,
                "decoder": model.decoder.summary(),
                "latent": model.latent,
                "condition": model.condition,
                "posterior": posterior.kind,
                "prior": prior.kind,
                "likelihood": likelihood.kind,
                "objective": objective.kind,
                "settings": {
                    "posterior": posterior.settings, "prior": prior.settings,
                    "likelihood": likelihood.settings, "objective": objective.settings,
                },
            }));
        }
        printer.result(&columns(&rows), || json!({ "presets": objects }))
    }
}
