//! How many multiplications a model needs, to compare its speed with that of the machine.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;

/// Multiplications in matrix products and convolutions, for one example. A multiplication and its
/// addition are two operations. Other work, and that of priors and auxiliary networks, is not
/// counted. A posterior's matrices count once for an example; codebooks and flows use theirs more
/// often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Multiplications {
    /// Of the encoder, with the heads of the posterior.
    pub encoder: u64,
    /// Of the first layer of the encoder, which has no gradient for its input.
    pub first_layer: u64,
    /// Of the decoder, for one draw.
    pub decoder: u64,
}

impl Multiplications {
    /// Returns the operations of a training step for one example, with `draws` draws: outputs, and
    /// the gradients of inputs and weights.
    pub fn of_training(&self, draws: usize) -> u64 {
        2 * (3 * (self.encoder + draws as u64 * self.decoder) - self.first_layer)
    }

    /// Returns the operations of encoding an example and decoding `draws` draws.
    pub fn of_forward(&self, draws: usize) -> u64 {
        2 * (self.encoder + draws as u64 * self.decoder)
    }
}

/// Returns the number of weights in the matrices of a module: of fully connected layers, each is
/// multiplied once for a row.
pub(crate) fn weights_of_matrices<M: Module>(module: &M) -> u64 {
    struct Count(u64);
    impl ModuleVisitor for Count {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if D == 2 {
                self.0 += param.shape().num_elements() as u64;
            }
        }
    }
    let mut count = Count(0);
    module.visit(&mut count);
    count.0
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::tensor::Device;

    use crate::description::{DataSpec, VaeConfig};
    use crate::likelihood::LikelihoodConfig;
    use crate::network::ConvConfig;
    use crate::noise::Noise;
    use crate::vae::VaeSpec;

    struct Zeros;

    impl Noise for Zeros {
        fn normal(&self, _: &str, shape: [usize; 3]) -> Vec<f32> {
            vec![0.0; shape.iter().product()]
        }

        fn uniform(&self, _: &str, shape: [usize; 3]) -> Vec<f32> {
            vec![0.0; shape.iter().product()]
        }

        fn permutation(&self, _: &str, n: usize) -> Vec<u32> {
            (0..n as u32).collect()
        }
    }

    fn multiplications(config: VaeConfig, shape: &[usize]) -> super::Multiplications {
        let spec = VaeSpec::new(config, DataSpec::new(shape)).unwrap();
        spec.init(&Zeros, &Device::flex()).multiplications()
    }

    #[test]
    fn counts_are_those_of_the_layers() {
        let mlp = VaeConfig { latent: 20, ..VaeConfig::default() };
        let count = multiplications(mlp, &[1, 28, 28]);
        assert_eq!(count.first_layer, 784 * 400);
        assert_eq!(count.encoder, 784 * 400 + 2 * 400 * 20);
        assert_eq!(count.decoder, 20 * 400 + 400 * 784);

        let encoder = ConvConfig { channels: vec![4], hidden: vec![5], ..ConvConfig::default() };
        let conv = VaeConfig {
            latent: 3,
            decoder: encoder.clone().into(),
            encoder: encoder.into(),
            likelihood: LikelihoodConfig::default(),
            ..VaeConfig::default()
        };
        let count = multiplications(conv, &[1, 8, 6]);
        let (large, small, flat) = (8 * 6, 4 * 3, 4 * 4 * 3);
        assert_eq!(count.first_layer, 9 * 4 * small);
        assert_eq!(count.encoder, 9 * 4 * small + flat * 5 + 2 * 5 * 3);
        // The doubling convolution needs 4 of 9 multiplications.
        assert_eq!(count.decoder, 3 * 5 + 5 * flat + 4 * 4 * 4 * large + 9 * 4 * large);
    }
}
