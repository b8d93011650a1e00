//! Fits the autoregressive prior over discrete codes.

use burn::module::Module;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData};
use vae_data::rng::Stream;
use vae_model::init::Init;
use vae_model::parameters::parameters;
use vae_model::prior::CodePrior;

use crate::error::EvalError;
use crate::noise::{KeyedNoise, Phase};

/// Minimum number of passes over the codes.
const EPOCHS: u64 = 10;
/// Minimum number of steps. With few examples there are more passes.
const STEPS: u64 = 500;
/// Rows of codes per step.
const BATCH: usize = 100;
/// Initial learning rate. It decreases linearly to 0, which averages out the noise of the last
/// batches.
const LEARNING_RATE: f64 = 2e-3;

/// Fits the prior on rows of codes `[n, positions]` by minimizing the mean of -log p(c).
///
/// # Errors
/// If there are fewer than two rows, or if training diverges (NaN or infinity).
pub fn fit(
    rows: &[i64],
    codes: usize,
    positions: usize,
    seed: u64,
    device: &Device,
) -> Result<CodePrior, EvalError> {
    let n = rows.len() / positions.max(1);
    if n < 2 {
        let why = format!("a prior cannot be fitted on the codes of {n} examples");
        return Err(EvalError::Request(why));
    }
    let noise = KeyedNoise::new(seed, Phase::Init);
    let autodiff = device.clone().autodiff();
    let init = Init::drawn(&noise, &autodiff).at("sampler");
    let mut prior = CodePrior::new(&init, codes, positions).train();
    // PyTorch's epsilon; Burn's default is larger.
    let mut optimizer = AdamConfig::new().with_epsilon(1e-8).init();
    let steps_an_epoch = n.div_ceil(BATCH) as u64;
    let epochs = EPOCHS.max(STEPS.div_ceil(steps_an_epoch));
    let steps = epochs * steps_an_epoch;
    let mut step = 0;
    for epoch in 0..epochs {
        let order = Stream::new(seed, "order of an epoch, codes").derive(epoch).permutation(n);
        for part in order.chunks(BATCH) {
            let batch: Vec<i64> = part
                .iter()
                .flat_map(|i| &rows[*i as usize * positions..(*i as usize + 1) * positions])
                .copied()
                .collect();
            let data = TensorData::new(batch, [part.len(), positions]);
            let batch = Tensor::<2, Int>::from_data(data, device);
            let loss = prior.log_prob(batch).mean().neg();
            let grads = GradientsParams::from_grads(loss.backward(), &prior);
            let rate = LEARNING_RATE * (1.0 - step as f64 / steps as f64);
            prior = optimizer.step(rate, prior, grads);
            step += 1;
        }
    }
    let prior = prior.valid();
    let sound = parameters(&prior).values().all(|p| p.values.iter().all(|v| v.is_finite()));
    if sound {
        Ok(prior)
    } else {
        Err(EvalError::Failed("fitting the prior over codes diverged: NaN or infinity".to_owned()))
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;

    const CODES: usize = 3;
    const POSITIONS: usize = 2;

    /// Returns all rows of two codes out of three.
    fn all(device: &Device) -> Tensor<2, Int> {
        let rows: Vec<i64> = (0..9).flat_map(|i| [i / 3, i % 3]).collect();
        Tensor::from_data(TensorData::new(rows, [9, POSITIONS]), device)
    }

    #[test]
    fn the_fitted_prior_is_a_distribution_with_the_frequencies_of_the_codes() {
        let device = Device::flex();
        // The second code equals the first. In one row out of four it is the next code.
        let rows: Vec<i64> = (0..1200)
            .flat_map(|i| {
                let first = i % 3;
                [first, if i % 4 == 0 { (first + 1) % 3 } else { first }]
            })
            .collect();
        let prior = fit(&rows, CODES, POSITIONS, 0, &device).unwrap();
        let log: Vec<f64> = prior.log_prob(all(&device)).into_data().iter::<f64>().collect();
        let sum: f64 = log.iter().map(|l| l.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
        for (i, log) in log.iter().enumerate() {
            let expected = match (i % 3 + 3 - i / 3) % 3 {
                0 => 0.25,
                1 => 1.0 / 12.0,
                _ => 0.0,
            };
            assert!((log.exp() - expected).abs() < 0.03, "{i}: {} {expected}", log.exp());
        }
        // Samples have the same frequencies.
        let n = 4_000;
        let drawn = prior.sample(&KeyedNoise::new(1, Phase::Generate), n, &device).into_data();
        let drawn: Vec<i64> = drawn.iter::<i64>().collect();
        let same = drawn.chunks(2).filter(|row| row[0] == row[1]).count() as f64 / n as f64;
        let model: f64 = [0, 4, 8].iter().map(|i| log[*i].exp()).sum();
        // Four standard errors of a fraction of about 3/4.
        assert!((same - model).abs() < 4.0 * (0.19 / n as f64).sqrt(), "{same} {model}");
    }
}
