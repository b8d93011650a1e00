//! The report: one HTML file with everything in it, of one run or several side by side.
//!
//! It asks no other host for anything, and a policy in its head forbids it to. Curves are drawn in the
//! browser by uPlot (MIT licence, `report/uPlot.LICENSE`), whose code is in the file; all else is there
//! without scripts.

use std::io::Cursor;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use image::{ImageFormat, RgbImage};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::{Value, json};

use crate::curves::Panel;
use crate::error::ViewError;
use crate::file::write_text;
use crate::theme::Theme;

/// What is in a report.
#[derive(Clone, Debug)]
pub struct Report {
    /// The heading.
    pub title: String,
    /// Who made it: program and version.
    pub made_by: String,
    /// The runs, side by side.
    pub runs: Vec<RunReport>,
    /// Figures of all runs: a row each, with a value for each run.
    pub figures: Vec<Row>,
    /// What the figures are and where they are from.
    pub figures_note: String,
    /// Curves of all runs.
    pub curves: Vec<Panel>,
}

/// What is said of one run.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// The name of the run.
    pub name: String,
    /// Facts: what each is, and the fact.
    pub facts: Vec<(String, String)>,
    /// What goes wrong.
    pub warnings: Vec<Warning>,
    /// Pictures.
    pub pictures: Vec<Picture>,
    /// The configuration, as TOML.
    pub config: String,
    /// The commands to repeat the run.
    pub commands: Vec<String>,
}

/// Something that goes wrong.
#[derive(Clone, Debug)]
pub struct Warning {
    /// What.
    pub warning: String,
    /// What to do.
    pub advice: String,
}

/// A picture of a run.
#[derive(Clone, Debug)]
pub struct Picture {
    /// What it shows.
    pub caption: String,
    /// On white.
    pub light: RgbImage,
    /// On dark grey.
    pub dark: RgbImage,
}

impl Picture {
    /// Draws a picture in both themes.
    ///
    /// # Errors
    /// The errors of `draw`.
    pub fn new(
        caption: &str,
        draw: impl Fn(Theme) -> Result<RgbImage, ViewError>,
    ) -> Result<Self, ViewError> {
        let (light, dark) = (draw(Theme::Light)?, draw(Theme::Dark)?);
        Ok(Self { caption: caption.to_owned(), light, dark })
    }
}

/// A figure of all runs.
#[derive(Clone, Debug)]
pub struct Row {
    /// The name of the figure.
    pub name: String,
    /// What it is, in a few words.
    pub note: String,
    /// As numbers, to compare, and as text. `None` where a run has no such figure.
    pub values: Vec<Option<(f64, String)>>,
    /// Which value is the best. It is marked if there are several runs.
    pub better: Better,
}

/// Which of several values is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// The lowest.
    Lower,
    /// The highest.
    Higher,
    /// None is better than another.
    Neither,
}

const STYLE: &str = include_str!("../report/report.css");
const SCRIPT: &str = include_str!("../report/report.js");
const UPLOT_STYLE: &str = include_str!("../report/uPlot.min.css");
const UPLOT_SCRIPT: &str = include_str!("../report/uPlot.iife.min.js");
/// Nothing is loaded from anywhere; pictures, styles and scripts are in the file.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; \
                      script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

impl Report {
    /// Writes the report.
    ///
    /// # Errors
    /// If a picture cannot be encoded, or if the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ViewError> {
        write_text(&self.html()?, path)
    }

    /// Returns the report as HTML.
    ///
    /// # Errors
    /// If a picture cannot be encoded.
    pub fn html(&self) -> Result<String, ViewError> {
        let runs = self.runs.iter().map(RunReport::html).collect::<Result<Vec<_>, _>>()?;
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) }
                    style { (PreEscaped(UPLOT_STYLE)) (PreEscaped(STYLE)) }
                }
                body {
                    header { h1 { (self.title) } }
                    main {
                        @if !self.curves.is_empty() { (self.curves()) }
                        @if !self.figures.is_empty() { (self.table()) }
                        div.runs { @for run in &runs { (run) } }
                    }
                    footer { p { "Made by " (self.made_by) "." } }
                    script { (PreEscaped(UPLOT_SCRIPT)) }
                    script { (PreEscaped(SCRIPT)) }
                }
            }
        };
        Ok(page.into_string())
    }

    fn curves(&self) -> Markup {
        let mut names: Vec<&str> = Vec::new();
        for line in self.curves.iter().flat_map(|panel| &panel.lines) {
            if !names.contains(&line.name.as_str()) {
                names.push(&line.name);
            }
        }
        let line = |line: &crate::Line| {
            let number = names.iter().position(|name| *name == line.name).unwrap_or(0);
            let css = |theme: Theme| {
                let color = theme.series(number);
                format!("rgb({},{},{})", color.0, color.1, color.2)
            };
            let points = line.points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
            let (x, y): (Vec<f64>, Vec<f64>) = points.copied().unzip();
            json!({
                "name": line.name,
                "dashed": line.dashed,
                "colors": [css(Theme::Light), css(Theme::Dark)],
                "x": x,
                "y": y,
            })
        };
        let panels: Vec<Value> = self
            .curves
            .iter()
            .map(|panel| {
                let lines: Vec<Value> = panel.lines.iter().map(line).collect();
                json!({ "title": panel.title, "lines": lines })
            })
            .collect();
        // Without `<`, which JSON can write otherwise, nothing in the data ends or opens an element.
        let data = json!(panels).to_string().replace('<', "\\u003c");
        html! {
            section {
                h2 { "Curves" }
                p.note { "Over training steps. Dashed: validation data. Hover to read values; drag to \
                          zoom, double-click to go back." }
                noscript { p { "Curves need JavaScript; `vae-cli curves` draws them too." } }
                div #curves {}
                script #curve-data type="application/json" { (PreEscaped(data)) }
            }
        }
    }

    fn table(&self) -> Markup {
        html! {
            section {
                h2 { "Evaluation" }
                p.note { (self.figures_note) }
                div.wide {
                    table {
                        thead {
                            tr {
                                th scope="col" { "figure" }
                                @for run in &self.runs { th.number scope="col" { (run.name) } }
                            }
                        }
                        tbody {
                            @for row in &self.figures {
                                tr {
                                    th scope="row" { (row.name) " " span.note { (row.note) } }
                                    @let best = row.best();
                                    @for (i, value) in row.values.iter().enumerate() {
                                        td.number.best[best == Some(i)] {
                                            (value.as_ref().map_or("\u{2013}", |(_, text)| text))
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

impl Row {
    /// Returns the position of the best of several values.
    fn best(&self) -> Option<usize> {
        let sign = match self.better {
            Better::Lower => 1.0,
            Better::Higher => -1.0,
            Better::Neither => return None,
        };
        let known = self.values.iter().enumerate();
        let known = known.filter_map(|(i, value)| Some((i, sign * value.as_ref()?.0)));
        let known: Vec<(usize, f64)> = known.collect();
        if known.len() < 2 {
            return None;
        }
        known.into_iter().min_by(|a, b| a.1.total_cmp(&b.1)).map(|(i, _)| i)
    }
}

impl RunReport {
    fn html(&self) -> Result<Markup, ViewError> {
        let mut pictures = Vec::new();
        for Picture { caption, light, dark } in &self.pictures {
            let (width, height) = light.dimensions();
            let (light, dark) = (data_url(light)?, data_url(dark)?);
            pictures.push(html! {
                figure {
                    picture {
                        // Paper is white whatever the screen is.
                        source media="screen and (prefers-color-scheme: dark)" srcset=(dark);
                        img src=(light) alt=(caption) width=(width) height=(height);
                    }
                    figcaption { (caption) }
                }
            });
        }
        Ok(html! {
            article {
                h2 { (self.name) }
                @for Warning { warning, advice } in &self.warnings {
                    p.warning role="note" { strong { "Warning: " } (warning) ". " (upper(advice)) "." }
                }
                dl {
                    @for (name, fact) in &self.facts { dt { (name) } dd { (fact) } }
                }
                div.pictures { @for picture in &pictures { (picture) } }
                h3 { "To repeat it" }
                pre { code { @for command in &self.commands { (command) "\n" } } }
                details {
                    summary { "Configuration" }
                    pre { code { (self.config) } }
                }
            }
        })
    }
}

/// Returns a sentence with a capital letter.
fn upper(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

/// Returns a picture as a `data:` URL.
fn data_url(image: &RgbImage) -> Result<String, ViewError> {
    let mut png = Cursor::new(Vec::new());
    image.write_to(&mut png, ImageFormat::Png).map_err(|e| ViewError::Draw(e.to_string()))?;
    Ok(format!("data:image/png;base64,{}", BASE64.encode(png.into_inner())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Line;

    fn report(runs: usize) -> Report {
        let picture = RgbImage::new(3, 2);
        let run = |i: usize| RunReport {
            name: format!("run {i} <b>"),
            facts: vec![("latent".to_owned(), "2".to_owned())],
            warnings: vec![Warning {
                warning: "posterior collapse".to_owned(),
                advice: "lower the weight".to_owned(),
            }],
            pictures: vec![Picture {
                caption: "samples".to_owned(),
                light: picture.clone(),
                dark: picture.clone(),
            }],
            config: "[model]".to_owned(),
            commands: vec!["vae-cli train".to_owned()],
        };
        let points = vec![(0.0, 1.0), (1.0, f64::NAN)];
        let lines = vec![Line { name: "</script>".to_owned(), points, dashed: false }];
        Report {
            title: "Report".to_owned(),
            made_by: "a test".to_owned(),
            runs: (0..runs).map(run).collect(),
            figures: vec![Row {
                name: "neg_elbo".to_owned(),
                note: String::new(),
                values: (0..runs).map(|i| Some((i as f64, i.to_string()))).collect(),
                better: Better::Lower,
            }],
            figures_note: String::new(),
            curves: vec![Panel { title: "loss".to_owned(), lines, falls: true }],
        }
    }

    #[test]
    fn what_runs_are_called_cannot_break_the_page() {
        let html = report(1).html().unwrap();
        assert!(html.contains("run 0 &lt;b&gt;"));
        // Two scripts, and the data of the curves.
        assert_eq!(html.matches("</script>").count(), 3);
        assert!(!html.contains("NaN,") && html.contains("\"x\":[0.0]"));
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        let html = report(2).html().unwrap();
        assert!(html.contains("default-src 'none'"));
        for loads in ["src=\"http", "href=\"http", "url(http", "@import", "fetch("] {
            assert!(!html.contains(loads), "{loads}");
        }
    }

    #[test]
    fn the_best_of_several_is_marked() {
        let mut rows = report(2).figures;
        assert_eq!(rows[0].best(), Some(0));
        rows[0].better = Better::Higher;
        assert_eq!(rows[0].best(), Some(1));
        rows[0].values[0] = None;
        assert_eq!(rows[0].best(), None, "one value is no comparison");
        assert!(!report(1).html().unwrap().contains("class=\"number best\""));
        assert_eq!(report(2).html().unwrap().matches("class=\"number best\"").count(), 1);
    }
}
