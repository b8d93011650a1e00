//! A traversal: z of an example, with one latent dimension after the other varied.

use anyhow::Result;
use vae_data::Examples;
use vae_eval::{Generator, LatentSummary};
use vae_view::{Sheet, Theme};

/// Decoded rows, one for each dimension.
pub struct Traversal {
    /// The dimensions, those with the largest KL first, counted from 0.
    pub dimensions: Vec<usize>,
    /// The values of each. Where the KL of a dimension is not known, as with a learned prior, z has no
    /// scale of its own: they count standard deviations of its posterior means from their mean.
    pub values: Vec<f32>,
    /// x of all dimensions and values, row by row.
    pub decoded: Vec<f32>,
    /// What is known of all dimensions.
    pub summary: LatentSummary,
}

impl Traversal {
    /// Varies the first `dims` dimensions of example `from`, by the order of `examples`, between minus
    /// `range` and `range` in `steps` steps.
    ///
    /// # Errors
    /// If z is made of discrete codes, or if the model cannot read the examples.
    pub fn new(
        generator: &Generator,
        examples: &Examples,
        from: usize,
        dims: usize,
        range: f32,
        steps: usize,
    ) -> Result<Self> {
        generator.check_continuous()?;
        let summary = generator.latent_summary(examples)?;
        let dimensions: Vec<usize> = summary.order().into_iter().take(dims).collect();
        let values: Vec<f32> =
            (0..steps).map(|i| range * (2.0 * i as f32 / (steps - 1) as f32 - 1.0)).collect();
        let from = [from as u32];
        let base = generator.encode(examples, &from)?;
        let mut z = Vec::with_capacity(dimensions.len() * steps * base.len());
        for dimension in &dimensions {
            let d = *dimension;
            let (mean, spread) = match &summary.kl {
                Some(_) => (0.0, 1.0),
                None => (summary.mean[d], summary.variance[d].sqrt()),
            };
            let scaled = values.iter().map(|value| mean as f32 + spread as f32 * value);
            z.extend(generator.along(&base, d, &scaled.collect::<Vec<_>>())?);
        }
        let decoded = generator.decode(&z, examples.labels_at(&from).as_deref(), false)?;
        Ok(Self { dimensions, values, decoded, summary })
    }

    /// Returns the sheet: a row for each dimension.
    pub fn sheet(&self, shape: &[usize], theme: Theme) -> Sheet {
        let row = |d: &usize| match &self.summary.kl {
            Some(kl) => format!("z{}  {:.2} nats", d + 1, kl[*d]),
            None => format!("z{}  unit {:.2}", d + 1, self.summary.variance[*d].sqrt()),
        };
        // Two digits for a narrow range, whose values would look alike with one.
        let narrow = self.values.last().is_some_and(|last| *last < 1.0);
        let digits = if narrow { 2 } else { 1 };
        let mut sheet = Sheet::new(shape, self.values.len())
            .theme(theme)
            .row_labels(self.dimensions.iter().map(row).collect())
            .column_labels(self.values.iter().map(|v| format!("{v:+.digits$}")).collect());
        sheet.cover(&self.decoded);
        sheet.extend(&self.decoded);
        sheet
    }
}
