//! `doctor`: devices, data, and whether each backend computes what a CPU backend computes.

use anyhow::{Result, bail};
use serde_json::json;
use vae_data::source;
use vae_eval::parity::{Parity, compare};
use vae_train::{Backend, backend};

use crate::args::DoctorArgs;
use crate::open;
use crate::printer::{Printer, table};

/// Examines.
pub fn run(args: &DoctorArgs, printer: &Printer) -> Result<()> {
    let adapters = backend::adapters();
    let mut text = vec!["adapters:".to_owned()];
    text.extend(adapters.iter().map(|a| format!("  {a}")));
    if adapters.is_empty() {
        text.push("  none that a backend of this build can use".to_owned());
    }

    let reference = Backend::any_cpu()?;
    let mut rows = Vec::new();
    let mut objects = Vec::new();
    let mut wrong = Vec::new();
    for name in backend::TABLE.iter().map(|entry| entry.name) {
        let (state, device, parity) = match Backend::open(name) {
            Err(why) => (why.to_string(), None, None),
            Ok(opened) => {
                let parity = compare(&reference.device, &opened.device);
                if !parity.is_good() {
                    wrong.push(name);
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
    text.push(table(&rows));

    let sets = open::with_environment(args.data_dir.data_dir.clone(), printer, |environment| {
        Ok(source::list(environment))
    })?;
    text.push("data:".to_owned());
    let rows: Vec<Vec<String>> =
        sets.iter().map(|set| vec![format!("  {}", set.name), set.location.to_string()]).collect();
    text.push(table(&rows));
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
            "{} does not compute what {} computes: do not trust it on this machine",
            wrong.join(" and "),
            reference.name
        );
    }
    Ok(())
}

fn describe(parity: &Parity, reference: &str) -> String {
    format!(
        "{}: loss differs from {reference} by {:.1e}, gradients by {:.1e} (relative)",
        if parity.is_good() { "good" } else { "WRONG" },
        parity.loss,
        parity.gradient
    )
}
