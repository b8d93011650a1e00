//! `doctor`: checks the devices, backends and data of this machine.

use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;
use vae_data::source;
use vae_eval::parity::{Parity, compare};
use vae_train::{Backend, backend};

use crate::args::{BackendArgs, DataDirArgs};
use crate::commands::Execute;
use crate::open;
use crate::output::printer::Printer;
use crate::output::text::columns;

/// Check this machine: adapters, backends, data sets, runs.
///
/// Computes the same loss and gradients on every backend, or on the one that --backend names, and on a
/// CPU backend. Fails with exit code 1 if they differ by more than rounding.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  vae-cli doctor")]
pub struct DoctorArgs {
    #[command(flatten)]
    pub data_dir: DataDirArgs,
    #[command(flatten)]
    pub backend: BackendArgs,
}

impl Execute for DoctorArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        let adapters = backend::adapters();
        let mut text = vec!["adapters:".to_owned()];
        text.extend(adapters.iter().map(|a| format!("  {a}")));
        if adapters.is_empty() {
            text.push("  none that the backends of this build can use".to_owned());
        }

        let reference = Backend::any_cpu()?;
        let mut rows = Vec::new();
        let mut objects = Vec::new();
        let mut wrong = Vec::new();
        let every = || -> Vec<String> {
            let names = backend::TABLE.iter().filter(|entry| entry.address.is_none());
            let names = names.map(|entry| entry.name).chain(backend::LEFT_OUT.iter().copied());
            names.map(str::to_owned).collect()
        };
        let is_all = self.backend.backend == backend::AUTO;
        for name in if is_all { every() } else { vec![self.backend.backend.clone()] } {
            let opened = match is_all {
                true => Backend::open(&name).map_err(Into::into),
                false => self.backend.open(),
            };
            let (state, device, parity) = match opened {
                Err(why) if !is_all => return Err(why),
                Err(why) => (why.to_string(), None, None),
                Ok(opened) => {
                    let parity = compare(&reference.device, &opened.device);
                    if !parity.is_good() {
                        wrong.push(name.clone());
                    }
                    (describe(&parity, reference.name), Some(opened.note), Some(parity))
                }
            };
            rows.push(vec![format!("  {name}"), device.clone().unwrap_or_default(), state.clone()]);
            objects.push(json!({
                "name": name,
                "device": device,
                "available": device.is_some(),
                "loss_difference": parity.map(|p| p.loss),
                "gradient_difference": parity.map(|p| p.gradient),
                "state": state,
            }));
        }
        text.push("backends:".to_owned());
        text.push(columns(&rows));

        let sets =
            open::with_environment(self.data_dir.data_dir.clone(), printer, |environment| {
                Ok(source::list(environment))
            })?;
        text.push("data:".to_owned());
        let rows: Vec<Vec<String>> = sets
            .iter()
            .map(|set| vec![format!("  {}", set.name), set.location.to_string()])
            .collect();
        text.push(columns(&rows));
        let runs = vae_train::Run::all(std::path::Path::new(open::RUNS)).len();
        text.push(format!("runs: {runs} under {}/", open::RUNS));

        printer.result(&text.join("\n"), || {
            let data =
                sets.iter().map(|s| json!({ "name": s.name, "location": s.location.to_string() }));
            json!({
                "adapters": adapters,
                "backends": objects,
                "data": data.collect::<Vec<_>>(),
                "runs": runs,
            })
        })?;
        if !wrong.is_empty() {
            bail!(
                "results of {} differ from those of {} on this machine: choose another --backend",
                wrong.join(", "),
                reference.name
            );
        }
        Ok(())
    }
}

/// Describes how a backend compares with the reference.
fn describe(parity: &Parity, reference: &str) -> String {
    format!(
        "{}: loss differs from {reference} by {:.1e}, gradients by {:.1e} (relative)",
        if parity.is_good() { "good" } else { "WRONG" },
        parity.loss,
        parity.gradient
    )
}
