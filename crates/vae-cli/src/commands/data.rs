//! `data`: list, fetch and show data sets.

use anyhow::{Context, Result};
use serde_json::json;
use vae_data::{Examples, OpenedSource, Pixels, Scale, SourceSettings, Transform, Values, source};

use super::{Form, write, written};
use crate::args::{DataArgs, DataCommand, ShowArgs};
use crate::failure::request;
use crate::printer::{self, Printer};
use crate::table::{self, Key};
use crate::{array, open};

/// Does one of the three.
pub fn run(args: &DataArgs, printer: &Printer) -> Result<()> {
    match &args.command {
        DataCommand::List(dir) => {
            let sets = open::with_environment(dir.data_dir.clone(), printer, |environment| {
                Ok(source::list(environment))
            })?;
            let rows: Vec<Vec<String>> = sets
                .iter()
                .map(|set| vec![set.name.clone(), set.location.to_string(), set.about.clone()])
                .collect();
            printer.result(&printer::table(&rows), || {
                let list = sets.iter().map(|set| {
                    json!({
                        "name": set.name,
                        "about": set.about,
                        "location": set.location.to_string(),
                        "here": set.location != source::Location::Absent,
                    })
                });
                json!({ "sets": list.collect::<Vec<_>>() })
            })
        }
        DataCommand::Fetch { name, data_dir } => {
            let folder =
                open::with_environment(data_dir.data_dir.clone(), printer, |environment| {
                    Ok(source::fetch(name, environment)?)
                })?;
            let folder = folder.display().to_string();
            printer.result(&folder, || json!({ "name": name, "location": folder }))
        }
        DataCommand::Show(args) => show(args, printer),
    }
}

fn show(args: &ShowArgs, printer: &Printer) -> Result<()> {
    let form = Form::of(&args.out)?;
    for (flag, path) in [("--labels", &args.labels), ("--factors", &args.factors)] {
        if let Some(path) = path {
            Form::require_npy(flag, path)?;
        }
    }
    let (resolved, mut examples) =
        open::with_environment(args.data_dir.data_dir.clone(), printer, |environment| {
            let settings = SourceSettings::default();
            let resolved = OpenedSource::open(&args.data, &settings, environment)?;
            let examples = resolved.read(args.split.parse()?, environment)?;
            Ok((resolved, examples))
        })?;
    if let Some(note) = &resolved.note {
        printer.say(&format!("data: {note}"));
    }
    let name = &resolved.name;
    let missing = |what: &str| request(format!("{name} has no {what}"));
    let default = if form == Form::Png { 100 } else { examples.len() };
    examples.truncate(args.n.unwrap_or(default));
    let n = examples.len();
    Form::for_examples(&args.out, &examples.shape.dims())?;
    if let Some(path) = &args.labels {
        let labels = examples.labels.as_ref().ok_or_else(|| missing("labels"))?;
        let labels: Vec<i64> = labels.iter().map(|l| i64::from(*l)).collect();
        array::write(path, &[n], &labels)?;
    }
    if let Some(path) = &args.factors {
        let factors = examples.factors.as_ref().ok_or_else(|| missing("known factors"))?;
        array::write(path, &[n, factors.names.len()], &factors.values)?;
        let names = path.with_extension("json");
        let text = format!("{}\n", json!(factors.names));
        std::fs::write(&names, text).with_context(|| names.display().to_string())?;
    }
    match (form, &examples.values) {
        (Form::Npy, Values::Bytes(bytes)) => {
            array::write(&args.out, &[&[n], &examples.shape.dims()[..]].concat(), bytes)?;
        }
        (Form::Npy, Values::Floats(values)) => {
            array::write(&args.out, &[&[n], &examples.shape.dims()[..]].concat(), values)?;
        }
        (Form::Csv, Values::Floats(values)) => {
            let len = examples.shape.len();
            let names = table::names(examples.columns.as_deref(), 'x', len);
            table::write(&args.out, &Key::of(&resolved, &examples), &names, values.chunks(len))?;
        }
        (Form::Csv, Values::Bytes(_)) => unreachable!("`Form::for_examples` refused images"),
        (Form::Png, _) => sheet(&by_class(&examples), args)?,
    }
    written(printer, &args.out, n)
}

/// The examples in order of their classes, where they have any.
fn by_class(examples: &Examples) -> Examples {
    let Some(labels) = &examples.labels else { return examples.clone() };
    let mut order: Vec<usize> = (0..examples.len()).collect();
    order.sort_by_key(|i| labels[*i]);
    examples.select(&order)
}

fn sheet(examples: &Examples, args: &ShowArgs) -> Result<()> {
    let indices: Vec<u32> = (0..examples.len() as u32).collect();
    let transform = Transform::fit(examples, Pixels::Grey, Scale::None)?;
    let values = transform.gather(examples, &indices, &vae_data::rng::Stream::new(0, "unused"));
    write(&args.out, &examples.shape.dims(), &values, None, None)
}
