//! The support of x for a set of examples, as a type of `vae-model`.

use vae_data::{Examples, Transform};
use vae_model::Support;

/// Returns the support of x of `examples` after `transform`.
pub fn support_of(transform: &Transform, examples: &Examples) -> Support {
    match transform.support(examples) {
        vae_data::Support::Binary => Support::Binary,
        vae_data::Support::Levels { low, high } => Support::Levels { low, high },
        vae_data::Support::Counts => Support::Counts,
        vae_data::Support::Reals => Support::Reals,
    }
}
