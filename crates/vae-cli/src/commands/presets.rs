//! `presets`: every preset as a row of axes.

use anyhow::Result;
use serde_json::json;
use vae_model::config::Choice;
use vae_train::presets;

use crate::args::PresetsArgs;
use crate::failure::request;
use crate::printer::{Printer, table};

/// Lists.
pub fn run(args: &PresetsArgs, printer: &Printer) -> Result<()> {
    if let Some(name) = &args.name {
        let text = presets::text(name)
            .ok_or_else(|| request(format!("no preset `{name}`; `vae-cli presets` lists them")))?;
        return printer.result(text, || json!({ "name": name, "toml": text }));
    }
    let header =
        ["preset", "data", "encoder", "latent", "posterior", "prior", "likelihood", "objective"];
    let mut rows = vec![header.map(String::from).to_vec()];
    let mut objects = Vec::new();
    for (name, text) in presets::ALL {
        let config = presets::resolve(name, &[])?;
        let model = &config.model;
        let trained = config.objective.trains_prior(model);
        let row = [
            (*name).to_owned(),
            config.data.source.clone(),
            model.encoder.summary(),
            model.latent.to_string(),
            model.posterior.kind().to_owned(),
            if trained { model.prior.kind() } else { "fitted" }.to_owned(),
            model.likelihood.kind().to_owned(),
            config.objective.kind().to_owned(),
        ];
        let mut object =
            json!({ "about": presets::description(text).collect::<Vec<_>>().join(" ") });
        for (key, value) in header.iter().zip(&row) {
            object[*key] = json!(value);
        }
        objects.push(object);
        rows.push(row.to_vec());
    }
    printer.result(&table(&rows), || json!({ "presets": objects }))
}
