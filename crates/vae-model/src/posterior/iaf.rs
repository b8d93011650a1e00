//! Inverse autoregressive flow (Kingma et al. 2016): steps after a Gaussian draw that make q(z|x)
//! more flexible.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData, activation};

use crate::init::Init;

/// One step: z' = sigma z + (1 - sigma) m, sigma = sigmoid(s + 2). m_d and s_d depend on the
/// dimensions before d and on a context from the encoder (Kingma et al. 2016, equations 13 and 14).
/// A masked network with one hidden layer computes m and s (MADE, Germain et al. 2015).
#[derive(Module, Debug)]
pub struct IafStep {
    /// `[latent, hidden]`, masked.
    inputs: Param<Tensor<2>>,
    /// `[context, hidden]`.
    context: Param<Tensor<2>>,
    /// `[hidden]`.
    bias: Param<Tensor<1>>,
    /// `[hidden, latent]`, masked.
    mean: Param<Tensor<2>>,
    /// `[latent]`.
    mean_bias: Param<Tensor<1>>,
    /// `[hidden, latent]`, masked.
    gate: Param<Tensor<2>>,
    /// `[latent]`.
    gate_bias: Param<Tensor<1>>,
    #[module(skip)]
    hidden: usize,
    #[module(skip)]
    latent: usize,
}

impl IafStep {
    /// Added to s, so that a step initially changes z little.
    pub const GATE_SHIFT: f64 = 2.0;

    /// Returns the masks of the weights, 0 or 1, row-major: of `inputs` `[latent, hidden]`, and of
    /// `mean` and `gate` `[hidden, latent]`.
    pub fn masks(latent: usize, hidden: usize) -> [Vec<f32>; 2] {
        // Hidden unit j reads the context and the first degree(j) dimensions. Output d reads the
        // units that do not read dimension d or a later one.
        let degree = |j: usize| j % latent;
        let mask = |rows: usize, columns: usize, on: &dyn Fn(usize, usize) -> bool| {
            let at = |i: usize| f32::from(u8::from(on(i / columns, i % columns)));
            (0..rows * columns).map(at).collect()
        };
        [mask(latent, hidden, &|d, j| d < degree(j)), mask(hidden, latent, &|j, d| degree(j) <= d)]
    }

    /// Makes a step for `latent` dimensions and a context of `context` numbers.
    pub fn new(init: &Init<'_>, latent: usize, context: usize, hidden: usize) -> Self {
        let bound = 1.0 / ((latent + context) as f64).sqrt();
        // A tenth of the usual bound, so that q(z|x) is initially close to a Gaussian.
        let small = 0.1 / (hidden as f64).sqrt();
        Self {
            inputs: init.uniform("inputs", [latent, hidden], bound),
            context: init.uniform("context", [context, hidden], bound),
            bias: init.uniform("bias", [hidden], bound),
            mean: init.uniform("mean", [hidden, latent], small),
            mean_bias: init.constant("mean_bias", [latent], 0.0),
            gate: init.uniform("gate", [hidden, latent], small),
            gate_bias: init.constant("gate_bias", [latent], 0.0),
            hidden,
            latent,
        }
    }

    /// Returns z' `[rows, latent]` and log |det dz'/dz| `[rows, 1]` for z `[rows, latent]` and
    /// contexts `[rows, context]`.
    pub fn forward(&self, z: Tensor<2>, context: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let (hidden, latent) = (self.hidden, self.latent);
        let device = z.device().inner();
        let mask = |values, shape: [usize; 2]| {
            Tensor::<2>::from_data(TensorData::new(values, shape), &device)
        };
        let [inward, outward] = Self::masks(latent, hidden);
        let (inward, outward) = (mask(inward, [latent, hidden]), mask(outward, [hidden, latent]));
        let seen = z.clone().matmul(self.inputs.val() * inward)
            + context.matmul(self.context.val())
            + self.bias.val().unsqueeze::<2>();
        let seen = activation::relu(seen);
        let mean = seen.clone().matmul(self.mean.val() * outward.clone())
            + self.mean_bias.val().unsqueeze::<2>();
        let gate = seen.matmul(self.gate.val() * outward) + self.gate_bias.val().unsqueeze::<2>();
        let gate = gate.add_scalar(Self::GATE_SHIFT);
        let log_det = activation::log_sigmoid(gate.clone()).sum_dim(1);
        let sigma = activation::sigmoid(gate);
        (mean.clone() + sigma * (z - mean), log_det)
    }
}
