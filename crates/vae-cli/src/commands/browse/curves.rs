//! `curves`: plots what runs have logged.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use vae_train::Run;
use vae_view::{Curves, FigureFormat, Theme, write_figure};

use crate::args::ThemeArgs;
use crate::commands::Execute;
use crate::open;
use crate::output::printer::Printer;
use crate::output::show::ShowArgs;
use crate::pictures::log;

/// Plot the loss and its terms over the steps of one run or several.
///
/// Solid lines are averages over training steps, dashed ones the validation data.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli curves\n  \
    vae-cli curves runs/gated runs/vamp --terms loss,kl --out curves.svg")]
pub struct CurvesArgs {
    /// Folders of runs [default: the newest run under runs/].
    #[arg(value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Terms to plot, separated by commas [default: all that were logged].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub terms: Vec<String>,
    /// File to write, .png or .svg.
    #[arg(long, default_value = "curves.png", value_name = "PATH")]
    pub out: PathBuf,
    #[command(flatten)]
    pub show: ShowArgs,
    #[command(flatten)]
    pub theme: ThemeArgs,
}

impl Execute for CurvesArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        self.show.check(&self.out, printer)?;
        FigureFormat::of(&self.out)?;
        let runs = match &self.runs[..] {
            [] => vec![open::newest_run()?],
            folders => folders.iter().map(Run::new).collect(),
        };
        let logs = log::logs(&runs)?;
        log::check_terms(&logs, &self.terms)?;
        let terms = if self.terms.is_empty() { log::terms(&logs) } else { self.terms.clone() };
        let panels = log::panels(&logs, &terms);
        let title = match &logs[..] {
            [log] => format!("Training of {}", log.name),
            logs => format!("Training of {} runs", logs.len()),
        };
        let x_label = "step".to_owned();
        let figure = Curves { title, x_label, panels, theme: Theme::from(self.theme) };
        write_figure(&figure, &self.out)?;
        self.show.draw(&self.out)?;
        let path = self.out.display().to_string();
        let names: Vec<&str> = logs.iter().map(|log| log.name.as_str()).collect();
        printer.result(&path, || json!({ "out": path, "runs": names, "terms": terms }))
    }
}
