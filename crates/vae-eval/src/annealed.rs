//! The log-likelihood of examples, estimated by annealed importance sampling (Wu et al. 2017). It
//! starts from p(z) and does not use q(z|x), so it also works where importance sampling with q(z|x)
//! fails.
//!
//! A chain goes through the distributions f_t(z) = p(z) p(x|z)^beta_t, from beta_0 = 0 to beta_T = 1.
//! Its weight is the product of p(x|z)^(beta_t - beta_(t-1)) along the way, and the mean of the weights of
//! many chains is an unbiased estimate of p(x) (Neal 2001). Between two distributions z moves by Hamiltonian
//! Monte Carlo, which leaves f_t invariant. Four pilot chains choose the step sizes. They use other random
//! numbers than the 16 chains of the estimate, so that the estimate stays unbiased.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use vae_model::prior::PriorDistribution;
use vae_model::{Batch, Noise, Vae, is_on_host};

use crate::importance::{Estimate, ROWS, ROWS_ON_HOST, Weights, in_parts};
use crate::noise::KeyedNoise;
use crate::team::Team;

/// Chains for each example, as in the paper.
pub(crate) const CHAINS: usize = 16;
/// The largest number of steps of annealed importance sampling.
pub const MOST_STEPS: usize = 100_000;
/// Chains that choose the sizes of the steps.
const PILOTS: usize = 4;
/// Steps of a trajectory of Hamiltonian Monte Carlo, as in the paper.
const LEAPS: usize = 10;
/// Share of proposals that should be accepted, as in the paper.
const ACCEPTED: f64 = 0.65;
/// Size of the first step.
const FIRST_STEP: f64 = 0.1;
/// How fast the logarithm of the size changes with the share of accepted proposals.
const RATE: f64 = 0.1;
/// Steepness of the schedule of beta, as in the paper.
const STEEPNESS: f64 = 4.0;
/// The chains of the pilot are the draws from this number on.
const FIRST_PILOT: u32 = 1 << 31;

/// Annealed importance sampling of log p(x).
pub(crate) struct Annealing<'a> {
    /// Its members share the examples.
    pub team: &'a Team,
    /// A model whose prior has a density.
    pub vae: &'a Vae,
    /// Distributions between p(z) and p(z) p(x|z), that one included.
    pub steps: usize,
}

impl Annealing<'_> {
    /// Returns an estimate for each x from [`CHAINS`] chains. `report` is called with the number of
    /// examples that are done.
    pub fn estimates(
        &self,
        batch: &Batch,
        noise: KeyedNoise,
        report: impl Fn(usize),
    ) -> Vec<Estimate> {
        let size = batch.size();
        let rows = if is_on_host(&batch.x.device()) { ROWS_ON_HOST } else { ROWS };
        let images = (rows / CHAINS).max(1);
        // Gradients are of z alone.
        let vae = self.vae.clone().no_grad().train();
        let part = |first, n| {
            let batch = batch.part(first..first + n);
            Part { batch, noise: noise.from_image(first), steps: self.steps }
        };
        in_parts(self.team, [size, images], part, move |part| part.estimates(&vae), report)
    }
}

/// Returns beta_t of `steps` distributions: a logistic function, which is slow at both ends.
fn beta(t: usize, steps: usize) -> f64 {
    let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
    let (low, high) = (logistic(-STEEPNESS), logistic(STEEPNESS));
    let at = logistic(STEEPNESS * (2.0 * t as f64 / steps as f64 - 1.0));
    (at - low) / (high - low)
}

/// Examples that a member handles together.
struct Part {
    batch: Batch,
    noise: KeyedNoise,
    steps: usize,
}

/// Where some chains of each example are: z `[chains, batch, latent]`, and the logarithms there,
/// row-major `[chains, batch]`.
struct Place {
    z: Tensor<3>,
    log_prior: Vec<f64>,
    log_likelihood: Vec<f64>,
}

/// A place whose logarithms are still on the device, `[chains, batch]`.
struct Visited {
    z: Tensor<3>,
    log_prior: Tensor<2>,
    log_likelihood: Tensor<2>,
    /// Of log f_t, `[chains, batch, latent]`.
    gradient: Tensor<3>,
}

impl Visited {
    /// Reads the logarithms.
    fn read(self) -> Place {
        let numbers = |tensor: Tensor<2>| tensor.into_data().iter::<f64>().collect();
        let Self { z, log_prior, log_likelihood, .. } = self;
        let (log_prior, log_likelihood) = (numbers(log_prior), numbers(log_likelihood));
        Place { z, log_prior, log_likelihood }
    }
}

impl Place {
    /// Returns log f_t of a row.
    fn log_density(&self, row: usize, beta: f64) -> f64 {
        self.log_prior[row] + beta * self.log_likelihood[row]
    }
}

/// log p(x, z) of a part as a function of z, with its gradient.
struct Joint<'a> {
    vae: &'a Vae,
    prior: PriorDistribution,
    /// On the device with gradients.
    batch: Batch,
    noise: KeyedNoise,
}

impl Joint<'_> {
    /// Goes to z, for log f_t with `beta`.
    fn at(&self, z: Tensor<3>, beta: f64) -> Visited {
        let leaf = Tensor::from_inner(z.clone()).require_grad();
        let log_prior = self.prior.log_prob(leaf.clone(), &self.noise);
        let p = self.vae.decode_draws(leaf.clone(), self.batch.labels.as_ref());
        let log_likelihood = p.log_prob(self.batch.x.clone());
        let log_density = log_prior.clone() + log_likelihood.clone().mul_scalar(beta);
        let gradients = log_density.sum().backward();
        let Some(gradient) = leaf.grad(&gradients) else { unreachable!("z has a gradient") };
        let (log_prior, log_likelihood) = (log_prior.inner(), log_likelihood.inner());
        Visited { z, log_prior, log_likelihood, gradient }
    }
}

impl Part {
    /// Returns an estimate for each example. `vae` is on a device with gradients.
    fn estimates(&self, vae: &Vae) -> Vec<Estimate> {
        let device = self.batch.x.device().autodiff();
        let batch = self.batch.with_gradients();
        let prior = vae.prior(batch.labels.as_ref(), &device);
        let joint = Joint { vae, prior, batch, noise: self.noise };
        let n = self.batch.size();
        let mut sizes = vec![vec![FIRST_STEP; n]; self.steps];
        self.run(&joint, FIRST_PILOT, PILOTS, &mut Sizes::Chosen(&mut sizes));
        let log_w = self.run(&joint, 0, CHAINS, &mut Sizes::Given(&sizes));
        let mut weights = vec![Weights::new(CHAINS); n];
        log_w.iter().enumerate().for_each(|(i, log_w)| weights[i % n].add(*log_w));
        weights.into_iter().map(Weights::estimate).collect()
    }

    /// Runs `chains` chains of each example from p(z) on, and returns the logarithms of their weights,
    /// row-major `[chains, batch]`. Chain i has the random numbers of the draw `first_draw` + i.
    fn run(
        &self,
        joint: &Joint<'_>,
        first_draw: u32,
        chains: usize,
        sizes: &mut Sizes<'_>,
    ) -> Vec<f64> {
        let n = self.batch.size();
        let device = self.batch.x.device();
        let draw = |i: usize| {
            let mut noise = self.noise;
            noise.first_draw = first_draw + i as u32;
            joint.prior.sample(&noise, n, &device.clone().autodiff()).inner().unsqueeze()
        };
        let z: Tensor<3> = Tensor::cat((0..chains).map(draw).collect(), 0);
        let mut place = joint.at(z, 0.0).read();
        let mut log_w = vec![0.0; chains * n];
        for t in 1..=self.steps {
            let beta_t = beta(t, self.steps);
            let rise = beta_t - beta(t - 1, self.steps);
            log_w.iter_mut().zip(&place.log_likelihood).for_each(|(w, l)| *w += rise * l);
            // No distribution follows the last.
            if t == self.steps {
                break;
            }
            let mut noise = self.noise.at_step(t as u64);
            noise.first_draw = first_draw;
            let accepted;
            (place, accepted) = leap(joint, place, beta_t, sizes.at(t), &noise, &device);
            sizes.learn(t, &accepted, chains);
        }
        log_w
    }
}

/// The sizes of the steps of each distribution and example.
enum Sizes<'a> {
    /// They are chosen on the way.
    Chosen(&'a mut Vec<Vec<f64>>),
    /// They are fixed.
    Given(&'a [Vec<f64>]),
}

impl Sizes<'_> {
    /// Returns the sizes for the distribution t, one for each example.
    fn at(&self, t: usize) -> &[f64] {
        match self {
            Self::Chosen(all) => &all[t],
            Self::Given(all) => &all[t],
        }
    }

    /// Chooses the sizes for the next distribution by the rows that were accepted.
    fn learn(&mut self, t: usize, accepted: &[bool], chains: usize) {
        let Self::Chosen(all) = self else { return };
        let n = accepted.len() / chains;
        let Some(next) = (t + 1 < all.len()).then(|| {
            let next = (0..n).map(|i| {
                let share = accepted.iter().skip(i).step_by(n).filter(|a| **a).count();
                let share = share as f64 / chains as f64;
                all[t][i] * (RATE * (share - ACCEPTED)).exp()
            });
            next.collect::<Vec<f64>>()
        }) else {
            return;
        };
        all[t + 1] = next;
    }
}

/// Moves every chain by one trajectory of Hamiltonian Monte Carlo (Neal 2011) that leaves f_t with `beta` as
/// it is. Returns the new places, and which rows have moved.
fn leap(
    joint: &Joint<'_>,
    from: Place,
    beta: f64,
    sizes: &[f64],
    noise: &KeyedNoise,
    device: &Device,
) -> (Place, Vec<bool>) {
    let [chains, n, latent] = from.z.dims();
    let of_rows = |values: Vec<f32>, width| {
        Tensor::<3>::from_data(TensorData::new(values, [chains, n, width]), device)
    };
    let momentum = noise.normal("annealing, momentum", [chains, n, latent]);
    let half: Vec<f32> = sizes.iter().map(|size| (0.5 * size) as f32).collect();
    let half = Tensor::<1>::from_floats(half.as_slice(), device).reshape([1, n, 1]);
    let step = half.clone().mul_scalar(2.0);
    let kinetic = |p: &Tensor<3>| -> Vec<f64> {
        let squares = p.clone().powi_scalar(2).sum_dim(2).mul_scalar(0.5);
        squares.into_data().iter::<f64>().collect()
    };
    let mut p = of_rows(momentum, latent);
    let before = kinetic(&p);
    let mut at = joint.at(from.z.clone(), beta);
    for _ in 0..LEAPS {
        p = p + at.gradient * half.clone();
        at = joint.at(at.z + p.clone() * step.clone(), beta);
        p = p + at.gradient.clone() * half.clone();
    }
    let (start, end) = (from, at.read());
    let after = kinetic(&p);
    let u = noise.uniform("annealing, acceptance", [chains, n, 1]);
    // A trajectory that left the finite numbers is not accepted.
    let accepted: Vec<bool> = (0..chains * n)
        .map(|row| {
            let rise = end.log_density(row, beta) - after[row];
            let rise = rise - (start.log_density(row, beta) - before[row]);
            rise.is_finite() && f64::from(u[row]) < rise.exp()
        })
        .collect();
    let moved = of_rows(accepted.iter().map(|a| f32::from(*a)).collect(), 1).greater_elem(0.5);
    let choose = |new: &[f64], old: &[f64]| -> Vec<f64> {
        let rows = accepted.iter().zip(new.iter().zip(old));
        rows.map(|(accepted, (new, old))| if *accepted { *new } else { *old }).collect()
    };
    let place = Place {
        log_prior: choose(&end.log_prior, &start.log_prior),
        log_likelihood: choose(&end.log_likelihood, &start.log_likelihood),
        z: start.z.mask_where(moved.expand([chains, n, latent]), end.z),
    };
    (place, accepted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_rises_from_0_to_1_and_is_slow_at_both_ends() {
        let steps = 50;
        let all: Vec<f64> = (0..=steps).map(|t| beta(t, steps)).collect();
        assert!(all[0].abs() < 1e-12 && (all[steps] - 1.0).abs() < 1e-12);
        assert!((all[steps / 2] - 0.5).abs() < 1e-12);
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(all[1] < 0.25 * (all[26] - all[25]));
        assert!((beta(1, 1) - 1.0).abs() < 1e-12);
    }
}
