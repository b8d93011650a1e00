//! An autoregressive prior over discrete codes, p(c) = prod_i p(c_i | c_1 .. c_(i-1)). It is fitted
//! on the codes of a trained model (van den Oord et al. 2017, section 3.3).

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};

use crate::init::Init;
use crate::math::categorical;
use crate::noise::Noise;

/// Length of the embedding of a code.
const EMBEDDING: usize = 16;

/// Number of rows of codes that are sampled at once.
const ROWS: usize = 500;

/// A masked network (MADE, Germain et al. 2015). Each position has its own hidden units, which read
/// only the positions before it.
#[derive(Module, Debug)]
pub struct CodePrior {
    /// Embeddings of the codes, `[codes, embedding]`.
    embedding: Param<Tensor<2>>,
    /// `[positions * embedding, positions * hidden]`. Only weights to later positions are used.
    inward: Param<Tensor<2>>,
    /// `[positions * hidden]`.
    inward_bias: Param<Tensor<1>>,
    /// `[hidden, codes]`, the same for all positions.
    outward: Param<Tensor<2>>,
    /// `[positions, codes]`.
    outward_bias: Param<Tensor<2>>,
    #[module(skip)]
    codes: usize,
    #[module(skip)]
    positions: usize,
    #[module(skip)]
    hidden: usize,
}

impl CodePrior {
    /// Makes a prior over `positions` positions with `codes` codes each.
    pub fn new(init: &Init<'_>, codes: usize, positions: usize) -> Self {
        let hidden = (2048 / positions.max(1)).clamp(16, 256);
        let inward = 1.0 / ((positions * EMBEDDING) as f64).sqrt();
        Self {
            embedding: init.uniform("embedding", [codes, EMBEDDING], 1.0),
            inward: init.uniform("inward", [positions * EMBEDDING, positions * hidden], inward),
            inward_bias: init.uniform("inward_bias", [positions * hidden], inward),
            outward: init.uniform("outward", [hidden, codes], 1.0 / (hidden as f64).sqrt()),
            outward_bias: init.constant("outward_bias", [positions, codes], 0.0),
            codes,
            positions,
            hidden,
        }
    }

    /// Returns log p(c_i | c_1 .. c_(i-1)) in nats of every code at every position, `[n, positions,
    /// codes]`, given codes `[n, positions]`.
    ///
    /// Every code must be below the number of codes.
    pub fn log_probs(&self, codes: Tensor<2, Int>) -> Tensor<3> {
        self.log_probs_by(self.masked(), codes)
    }

    /// Returns the weights from embeddings to hidden units, `[positions * embedding, positions *
    /// hidden]`. Weights to the same or an earlier position are 0.
    fn masked(&self) -> Tensor<2> {
        let weights = self.inward.val();
        let [rows, columns] = weights.dims();
        let device = weights.device().inner();
        let position = |n: usize, each: usize| {
            Tensor::<1, Int>::arange(0..n as i64, &device).div_scalar(each as i64)
        };
        let from = position(rows, EMBEDDING).reshape([rows, 1]).expand([rows, columns]);
        let to = position(columns, self.hidden).reshape([1, columns]).expand([rows, columns]);
        weights * from.lower(to).float()
    }

    fn log_probs_by(&self, inward: Tensor<2>, codes: Tensor<2, Int>) -> Tensor<3> {
        let [n, _] = codes.dims();
        let (positions, hidden) = (self.positions, self.hidden);
        let embedded = self.embedding.val().select(0, codes.reshape([n * positions]));
        let embedded = embedded.reshape([n, positions * EMBEDDING]);
        let seen = embedded.matmul(inward) + self.inward_bias.val().unsqueeze::<2>();
        let seen = activation::relu(seen).reshape([n * positions, hidden]);
        let logits = seen.matmul(self.outward.val()).reshape([n, positions, self.codes]);
        activation::log_softmax(logits + self.outward_bias.val().unsqueeze::<3>(), 2)
    }

    /// Returns log p(c) in nats, `[n]`, of codes `[n, positions]`. Every code must be below the
    /// number of codes.
    pub fn log_prob(&self, codes: Tensor<2, Int>) -> Tensor<1> {
        let [n, positions] = codes.dims();
        let all = self.log_probs(codes.clone());
        let own: Tensor<3> = all.gather(2, codes.reshape([n, positions, 1]));
        own.reshape([n, positions]).sum_dim(1).reshape([n])
    }

    /// Returns `n` rows of codes, `[n, positions]`, sampled one position after the other.
    pub fn sample(&self, noise: &dyn Noise, n: usize, device: &Device) -> Tensor<2, Int> {
        let positions = self.positions;
        let u = noise.uniform("codes", [1, n, positions]);
        let inward = self.masked();
        let mut drawn = vec![0i64; n * positions];
        let tensor = |drawn: &[i64]| {
            let data = TensorData::new(drawn.to_vec(), [drawn.len() / positions, positions]);
            Tensor::<2, Int>::from_data(data, device)
        };
        for (drawn, u) in drawn.chunks_mut(ROWS * positions).zip(u.chunks(ROWS * positions)) {
            for position in 0..positions {
                let log_probs = self.log_probs_by(inward.clone(), tensor(drawn));
                let log_probs = log_probs.narrow(1, position, 1).into_data();
                let log_probs: Vec<f64> = log_probs.iter::<f64>().collect();
                for (i, row) in log_probs.chunks(self.codes).enumerate() {
                    let at = i * positions + position;
                    let weights = row.iter().map(|log| log.exp());
                    drawn[at] = categorical(weights, 1.0, f64::from(u[at])) as i64;
                }
            }
        }
        tensor(&drawn)
    }
}
