//! The progress bar of everything that takes long: downloads, training, evaluation.

use indicatif::{ProgressBar, ProgressStyle};

use super::printer::Printer;

/// A progress bar on stderr. It is shown on a terminal only, and not with `-q`.
pub struct Bar {
    bar: Option<ProgressBar>,
    printer: Printer,
}

impl Bar {
    /// Shows a bar of `total` units, `done` of which are done already.
    pub fn new(printer: &Printer, total: u64, done: u64) -> Self {
        let bar = printer.shows_bars().then(|| {
            let bar = ProgressBar::new(total);
            let template = "{bar:24} {percent:>3}%  {msg}  {eta} left";
            let style = ProgressStyle::with_template(template);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            // The time left is computed from the units of this process alone.
            bar.set_position(done);
            bar.reset_eta();
            bar
        });
        Self { bar, printer: *printer }
    }

    /// Sets the units that are done.
    pub fn set_position(&self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
    }

    /// Sets the text beside the bar; `message` is called only if the bar is shown.
    pub fn set_message(&self, message: impl FnOnce() -> String) {
        if let Some(bar) = &self.bar {
            bar.set_message(message());
        }
    }

    /// Prints a message above the bar, or as [`Printer::say`] if no bar is shown.
    pub fn say(&self, message: &str) {
        match &self.bar {
            Some(bar) => bar.println(message),
            None => self.printer.say(message),
        }
    }

    /// Prints a warning above the bar, or as [`Printer::warn`] if no bar is shown.
    pub fn warn(&self, message: &str) {
        match &self.bar {
            Some(bar) => bar.println(format!("warning: {message}")),
            None => self.printer.warn(message),
        }
    }

    /// Removes the bar from the terminal.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
