//! An autoregressive prior over discrete codes, p(c) = prod_i p(c_i | c_1 .. c_(i-1)), fitted on the codes of a
//! trained model (van den Oord et al. 2017, section 3.3).

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};

use crate::init::Init;
use crate::math::categorical;
use crate::noise::Noise;

/// Numbers that stand for a code where later positions read it.
const EMBEDDING: usize = 16;

/// Rows of codes that are drawn at once.
const ROWS: usize = 500;

/// One masked network for all positions (Germain et al. 2015): each has hidden units of its own, which see
/// the positions before it alone.
#[derive(Module, Debug)]
pub struct CodePrior {
    /// What stands for each code, `[codes, embedding]`.
    embedding: Param<Tensor<2>>,
    /// `[positions * embedding, positions * hidden]`, of which only what leads forward is used.
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
    /// Over so many positions of so many codes.
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

    /// log p(c_i | those before) of every code at every position given codes `[n, positions]`:
    /// `[n, positions, codes]`.
    ///
    /// Codes are below the number that there are.
    pub fn log_probs(&self, codes: Tensor<2, Int>) -> Tensor<3> {
        self.log_probs_by(self.masked(), codes)
    }

    /// The weights from embeddings to hidden units without those that would lead to the same position or
    /// back, `[positions * embedding, positions * hidden]`.
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

    /// log p(c) in nats of rows of codes `[n, positions]`, each below the number that there are: `[n]`.
    pub fn log_prob(&self, codes: Tensor<2, Int>) -> Tensor<1> {
        let [n, positions] = codes.dims();
        let all = self.log_probs(codes.clone());
        let own: Tensor<3> = all.gather(2, codes.reshape([n, positions, 1]));
        own.reshape([n, positions]).sum_dim(1).reshape([n])
    }

    /// `n` rows of codes drawn one position after the other, `[n, positions]`.
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
