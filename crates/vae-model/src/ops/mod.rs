//! Operations of our own on host memory, where a composition of Burn's operations is slow on the
//! backend `flex`. Every other backend uses the composition. Apart from the table of backends, only
//! this module names a backend.

/// Defines a function that is compiled for several sets of vector instructions, the best of which is
/// chosen at run time. What the body calls must be inlined always. (A closure in its place is not
/// inlined, and is compiled without vector instructions.)
#[cfg(feature = "flex")]
macro_rules! vectorized {
    ($(#[$doc:meta])* $visible:vis fn $name:ident<'a>(
        $($argument:ident: $type:ty),* $(,)?
    ) $(-> $result:ty)? $body:block) => {
        $(#[$doc])*
        $visible fn $name<'a>($($argument: $type),*) $(-> $result)? {
            struct Call<'a> {
                $($argument: $type,)*
            }
            #[allow(unused_parens)]
            impl<'a> pulp::WithSimd for Call<'a> {
                type Output = ($($result)?);

                #[inline(always)]
                fn with_simd<S: pulp::Simd>(self, _: S) -> ($($result)?) {
                    let Self { $($argument),* } = self;
                    $body
                }
            }
            pulp::Arch::new().dispatch(Call { $($argument),* })
        }
    };
}

mod activation;
mod bernoulli;
mod convolution;
mod dense;
#[cfg(feature = "flex")]
mod elementary;
#[cfg(feature = "flex")]
mod flex;
mod gaussian;
mod group_norm;
#[cfg(feature = "flex")]
mod logistic;
#[cfg(feature = "flex")]
mod parts;

pub use activation::{Activation, LEAK};
pub use bernoulli::bernoulli_log_prob;
pub use convolution::{Size, convolve};
pub use dense::dense;
pub use gaussian::{kl_from_standard, log_density_at_draw, log_standard_normal, reparameterize};
pub use group_norm::{After, EPSILON as NORM_EPSILON, group_norm};
#[cfg(feature = "flex")]
pub use logistic::{Squash, logistic_log_prob};

use burn::tensor::{Device, Tensor};

/// Returns `read` of a tensor's numbers, in their order. Numbers in host memory are not copied.
///
/// # Panics
/// If the numbers are not f32.
pub fn with_numbers<const D: usize, R>(tensor: Tensor<D>, read: impl FnOnce(&[f32]) -> R) -> R {
    #[cfg(feature = "flex")]
    if is_on_host(&tensor.device()) {
        return read(flex::numbers(&flex::host(tensor)));
    }
    match tensor.into_data().as_slice() {
        Ok(numbers) => read(numbers),
        Err(why) => panic!("all tensors of this workspace are f32: {why:?}"),
    }
}

/// Returns whether `device` is the backend `flex`: its tensors are in host memory, where a loop can
/// read them, and operations run on the caller's threads.
pub fn is_on_host(device: &Device) -> bool {
    #[cfg(feature = "flex")]
    return *device == Device::flex();
    #[cfg(not(feature = "flex"))]
    {
        let _ = device;
        false
    }
}

/// Returns every set of vector instructions that this processor has, for tests.
#[cfg(all(test, feature = "flex"))]
fn vector_instructions() -> Vec<pulp::Arch> {
    let mut all = vec![pulp::Arch::new()];
    #[cfg(target_arch = "x86_64")]
    {
        all.push(pulp::Arch::Scalar);
        all.extend(pulp::x86::V3::try_new().map(pulp::Arch::V3));
    }
    all
}
