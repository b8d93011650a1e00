//! The support of x, as the type of `vae-model`.

use vae_data::{Examples, Pixels, Transform};
use vae_model::Support;

/// Returns the support of x of `examples` after `transform`.
pub fn support_of(transform: &Transform, examples: &Examples) -> Support {
    as_models(transform.support(examples))
}

/// Returns the support of x of images whose pixels are read in this way. `None` if it depends on the
/// images.
pub fn support_of_pixels(pixels: Pixels) -> Option<Support> {
    pixels.support().map(as_models)
}

fn as_models(support: vae_data::Support) -> Support {
    match support {
        vae_data::Support::Binary => Support::Binary,
        vae_data::Support::Levels { low, high } => Support::Levels { low, high },
        vae_data::Support::Counts => Support::Counts,
        vae_data::Support::Reals => Support::Reals,
    }
}
