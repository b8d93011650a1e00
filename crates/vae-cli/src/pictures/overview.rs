//! The overview of a run: samples, reconstructions, curves and a map of the codes in one picture.

use anyhow::Result;
use vae_data::Examples;
use vae_eval::Generator;
use vae_view::{Block, Curves, Page, Theme, draw_figure};

use super::codes::{Method, PERPLEXITY};
use super::log::{self, Log};
use super::sheets;

/// Examples of the map, the first of which are reconstructed.
pub const EXAMPLES: usize = 2_000;
/// Columns of reconstructions, as many as a sheet of samples has.
const COLUMNS: usize = 8;
/// Examples that are reconstructed.
const RECONSTRUCTED: usize = 4 * COLUMNS;

/// Returns the overview of a run whose log is `log`. Without `examples`, for a model whose encoder is
/// not trained, it has samples and curves.
///
/// # Errors
/// If the model cannot read the examples, or if z cannot be drawn.
pub fn page(
    generator: &Generator,
    examples: Option<(&Examples, &str)>,
    log: Log,
    theme: Theme,
) -> Result<Page> {
    let picture = |caption: &str, image| Block::Picture { caption: caption.to_owned(), image };
    let title = log.name.clone();
    let samples = sheets::samples(generator)?.theme(theme).draw()?;
    let mut made = vec![picture("Samples", samples)];
    let logs = [log];
    let terms = log::terms(&logs);
    // The loss, and the KL if there is one.
    let second = terms.iter().find(|term| *term == "kl").or(terms.get(1)).cloned();
    let chosen: Vec<String> = terms.first().cloned().into_iter().chain(second).collect();
    let curves = Curves {
        title: "Training".to_owned(),
        x_label: "step".to_owned(),
        panels: log::panels(&logs, &chosen),
        theme,
    };
    let curves = picture("", draw_figure(&curves)?);
    let mut map = Vec::new();
    if let Some((examples, source)) = examples {
        let few = examples.spread(RECONSTRUCTED);
        let sheet = sheets::reconstructions(generator, &few, COLUMNS, false)?.theme(theme);
        made.push(picture("Originals, and below each its reconstruction", sheet.draw()?));
        let latent = generator.vae.config().latent;
        if latent > 1 {
            let codes = Method::of(latent).map(generator, examples, PERPLEXITY)?;
            map.push(picture("", draw_figure(&codes.scatter(examples, source, theme))?));
        }
    }
    let left = Block::Column(vec![Block::Row(made), curves]);
    let block = Block::Row([left].into_iter().chain(map).collect());
    Ok(Page { title, block, theme })
}
