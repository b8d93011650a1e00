//! Scores of disentanglement of models whose posterior means are known.

use std::sync::Arc;

use vae_data::{Examples, Factors, Scale, Shape, Transform, Values};
use vae_eval::Evaluator;
use vae_model::DataSpec;

use super::models::with_parameters;
use crate::common::{device, vae_spec};

/// Examples of two numbers, which are their two factors: a grid.
fn grid() -> Examples {
    let values: Vec<f32> =
        (0..400).flat_map(|i| [(i / 20) as f32 / 20.0, (i % 20) as f32 / 20.0]).collect();
    let mut examples = Examples::new(Shape::Vector { len: 2 }, Values::Floats(values.clone()));
    let names = vec!["first".to_owned(), "second".to_owned()];
    examples.factors = Some(Factors { names, categories: vec![false; 2], values });
    examples
}

#[test]
fn mig_leaves_out_the_means_of_inactive_dimensions_if_the_posterior_has_a_density() {
    let examples = Arc::new(grid());
    let transform = Arc::new(Transform::fit(&examples, Default::default(), Scale::None).unwrap());
    let evaluator = Evaluator::new(examples, transform, device(), 0).unwrap();
    // The means are both factors, and a small copy of the first: if it counts, the first has no gap.
    let weights = [1.0, 0.0, 1e-3, 0.0, 1.0, 0.0];
    for (posterior, mig) in [("gaussian", 1.0), ("point", 0.5)] {
        let table = format!(
            "[model]\nlatent = 3\n[model.encoder]\nhidden = []\n\
             [model.posterior]\nkind = \"{posterior}\"\n[model.likelihood]\nkind = \"gaussian\"\n"
        );
        let spec = vae_spec(&table, DataSpec::new(&[2]));
        let vae = with_parameters(&spec, &[("posterior.mean.output.weight", &weights)]);
        let found = evaluator.disentanglement(&vae).unwrap().mig;
        assert!((found - mig).abs() < 1e-12, "{posterior}: {found}, not {mig}");
    }
}
