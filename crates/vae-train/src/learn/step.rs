//! One step of training: a batch, its gradients, and the optimizer's update.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use vae_data::ImageBatcher;
use vae_data::rng::Stream;
use vae_eval::{EvalError, KeyedNoise, Phase, one_hot_of};
use vae_model::{Batch, Noise, Role};

use super::mirrors::{self, Mirror, Update};
use super::replicas::Task;
use super::trainer::Trainer;
use crate::error::TrainError;

impl Trainer {
    /// Returns the networks that are updated in one step of training, in order: the auxiliary
    /// networks, each as often as its number of steps, then the model.
    fn roles(&self) -> Vec<Role> {
        let auxiliaries = self.requirements.auxiliaries.iter().enumerate();
        auxiliaries
            .flat_map(|(i, network)| std::iter::repeat_n(Role::Auxiliary(i), network.steps))
            .chain([Role::Model])
            .collect()
    }

    /// Returns the remaining batches of the current epoch: in each step, one batch for each role.
    /// Every role has its own order of the examples, which depends on seed and epoch.
    pub(super) fn epoch_batches(&self) -> vae_data::Batches {
        let epoch = self.progress.epoch;
        let seed = self.config.train.seed;
        let stream = |purpose| Stream::new(seed, purpose).derive(epoch);
        let size = self.config.train.batch_size;
        let examples = self.data.train.len();
        let orders: Vec<Vec<u32>> = (0..self.roles().len() as u64 - 1)
            .map(|i| stream("order of an epoch, critic").derive(i))
            .chain([stream("order of an epoch")])
            .map(|stream| stream.permutation(examples))
            .collect();
        let starts = (0..examples).step_by(size).skip(self.progress.batch as usize);
        let batches = starts.flat_map(|start| {
            let end = (start + size).min(examples);
            orders.iter().map(move |order| order[start..end].to_vec())
        });
        let draws = stream("stochastic pixels");
        let (train, transform) = (self.data.train.clone(), self.data.transform.clone());
        ImageBatcher::new(train, transform, draws)
            .with_resident(self.resident.clone())
            .given(batches.collect(), &self.device)
    }

    /// Returns the model's batch: with labels if the model uses them, and with a corrupted input of
    /// the encoder if noise or mask is set.
    ///
    /// # Errors
    /// If the model uses labels and the examples have none.
    fn batch(&self, batch: vae_data::Batch, noise: &KeyedNoise) -> Result<Batch, EvalError> {
        let (data, x) = (&self.config.data, batch.x);
        let labels = match self.config.model.uses_labels() {
            false => None,
            true => {
                let (indices, classes) = (&batch.indices, self.data.classes);
                Some(one_hot_of(&self.data.train, indices, classes, &self.device)?)
            }
        };
        let [images, numbers] = x.dims();
        let shape = [1, images, numbers];
        let tensor = |values: Vec<f32>| {
            Tensor::<2>::from_data(TensorData::new(values, [images, numbers]), &self.device)
        };
        let mut corrupted = None;
        if data.noise > 0.0 {
            let noise = tensor(noise.normal("data noise", shape)).mul_scalar(data.noise);
            corrupted = Some(x.clone() + noise);
        }
        if data.mask > 0.0 {
            let kept = tensor(noise.uniform("data mask", shape)).greater_equal_elem(data.mask);
            corrupted = Some(corrupted.unwrap_or_else(|| x.clone()) * kept.float());
        }
        Ok(Batch { x, corrupted, labels, data_set_size: self.data.train.len() })
    }

    /// Takes steps until no batches are left, which returns false, or until the losses are to be
    /// read back: after `train.log_every` steps, after the last of `total`, or when `stop` is set.
    ///
    /// # Errors
    /// If a batch cannot be made of the data.
    pub(super) fn steps(
        &mut self,
        batches: &mut vae_data::Batches,
        total: u64,
        stop: &AtomicBool,
    ) -> Result<bool, TrainError> {
        let team = Arc::clone(self.replicas.team());
        team.enter(|| {
            while self.step(batches)? {
                let done = self.progress.step == total || stop.load(Ordering::Relaxed);
                if done || self.progress.step.is_multiple_of(self.config.train.log_every) {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    /// Takes some steps, to measure their speed, and waits for their end.
    ///
    /// # Errors
    /// If a batch cannot be made of the data, or if a device fails.
    pub(super) fn take(&mut self, steps: u64) -> Result<(), TrainError> {
        let mut batches = self.epoch_batches();
        for _ in 0..steps {
            if !self.step(&mut batches)? {
                self.progress.batch = 0;
                batches = self.epoch_batches();
                self.step(&mut batches)?;
            }
        }
        self.sync()
    }

    /// Takes one step of each role. Nothing is read back from the device. Returns false if no
    /// batches are left.
    ///
    /// # Errors
    /// If a batch cannot be made of the data.
    fn step(&mut self, batches: &mut vae_data::Batches) -> Result<bool, TrainError> {
        let step = self.progress.step;
        let roles = self.roles();
        let before = roles.len() as u64 - 1;
        for (i, role) in roles.into_iter().enumerate() {
            let Some(batch) = batches.next() else { return Ok(false) };
            let (phase, at) = match role {
                Role::Model => (Phase::Train, step),
                Role::Auxiliary(_) => (Phase::Critic, step * before + i as u64),
            };
            let images = batch.indices.len();
            let noise = KeyedNoise::new(self.config.train.seed, phase).at_step(at);
            self.optimize_step(role, batch, noise)?;
            if role == Role::Model {
                self.clock.count(images);
            }
        }
        self.progress.step += 1;
        self.progress.batch += 1;
        if let Some(average) = &mut self.average {
            average.update(self.progress.step, || self.networks.vae.valid());
        }
        Ok(true)
    }

    /// Takes one optimizer step of one network on a batch; the others are frozen.
    ///
    /// # Errors
    /// The errors of [`Self::batch`].
    fn optimize_step(
        &mut self,
        role: Role,
        batch: vae_data::Batch,
        noise: KeyedNoise,
    ) -> Result<(), TrainError> {
        let indices = batch.indices.clone();
        let batch = self.batch(batch, &noise)?;
        let step = self.progress.step;
        let epoch = step as f64 / self.steps_per_epoch() as f64;
        let (networks, objective) = (&self.networks, &self.config.objective);
        let learning = match role {
            Role::Model => &mut self.model,
            Role::Auxiliary(i) => &mut self.auxiliaries[i],
        };
        let rate = learning.schedule.rate(step);
        let step_of = Update {
            role,
            rate,
            clip_norm: self.config.train.clip_norm,
            requirements: &self.requirements,
        };
        let (shares, sums) = if self.mirrors.is_empty() {
            let shares = self.replicas.gradients(role, networks, &batch, objective, noise, epoch);
            (shares, None)
        } else {
            let (objective, whole) = (objective.clone(), batch.size());
            let task = Task { role, objective, noise, epoch, whole };
            let flats = mirrors::gradients(&task, networks, &self.mirrors, &batch, &indices);
            let others = self.mirrors.iter().map(Mirror::device);
            let devices: Vec<_> = [&self.device].into_iter().chain(others).collect();
            let (shares, sums) = flats.exchange(&devices);
            let (first, others) = (&sums[0], &sums[1..]);
            let first = match role {
                Role::Model => first.gradients(&networks.vae),
                Role::Auxiliary(i) => first.gradients(&networks.auxiliaries[i]),
            };
            // They are asked before the first device takes its step.
            mirrors::step(&mut self.mirrors, others, &step_of);
            (shares, Some(first))
        };
        let mut grads = Vec::with_capacity(shares.len());
        let mut update = None;
        for share in shares {
            learning.pending.push(step, &share);
            grads.push(share.gradients);
            update = update.or(share.update);
        }
        let grads = step_of.clipped(&self.networks, sums.unwrap_or(grads));
        match role {
            Role::Model => {
                let vae = self.networks.vae.clone();
                let vae = learning.optimizer.step(rate, vae, grads, self.replicas.team());
                self.networks.vae = match update {
                    Some(update) => vae.apply_codebook_update(update),
                    None => vae,
                };
            }
            Role::Auxiliary(i) => {
                let network = self.networks.auxiliaries[i].clone();
                let network = learning.optimizer.step(rate, network, grads, self.replicas.team());
                self.networks.auxiliaries[i] = self.requirements.auxiliaries[i].constrain(network);
            }
        }
        Ok(())
    }
}

#[cfg(all(test, feature = "flex"))]
pub(crate) mod tests {
    use vae_data::Environment;

    use super::*;
    use crate::backend::Backend;
    use crate::task::config::TrainConfig;
    use crate::task::data::load;

    const IMAGES: usize = 100;

    /// Returns a trainer on 100 digits.
    pub(crate) fn trainer(text: &str) -> Trainer {
        let all = format!("data.source = \"digits\"\ndata.limit = {IMAGES}\n{text}");
        let config = TrainConfig::from_toml("c.toml", &all, &[]).unwrap();
        let data = load(&config, &Environment::default()).unwrap();
        Trainer::new(config, data, &Backend::open("flex").unwrap()).unwrap()
    }

    fn host(tensor: Tensor<2>) -> Vec<f64> {
        tensor.into_data().iter::<f64>().collect()
    }

    #[test]
    fn the_encoder_reads_x_with_the_set_noise_and_mask_and_the_loss_uses_clean_x() {
        let (size, masked) = (0.3, 0.25);
        let t =
            trainer(&format!("train.batch_size = 50\ndata.noise = {size}\ndata.mask = {masked}"));
        let clean = t.epoch_batches().next().unwrap();
        let expected = host(clean.x.clone());
        let noise = KeyedNoise::new(0, Phase::Train);
        let batch = t.batch(clean.clone(), &noise).unwrap();
        assert_eq!(host(batch.x.clone()), expected);
        let seen = host(batch.encoder_input());
        let n = seen.len() as f64;
        let share = seen.iter().filter(|v| **v == 0.0).count() as f64 / n;
        assert!((share - masked).abs() < 4.0 * (masked * (1.0 - masked) / n).sqrt(), "{share}");
        let kept = seen.iter().zip(&expected).filter(|(seen, _)| **seen != 0.0);
        let errors: Vec<f64> = kept.map(|(seen, x)| seen - x).collect();
        let n = errors.len() as f64;
        let mean = errors.iter().sum::<f64>() / n;
        let spread = (errors.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / n).sqrt();
        assert!(mean.abs() < 4.0 * size / n.sqrt(), "{mean}");
        assert!((spread / size - 1.0).abs() < 4.0 / (2.0 * n).sqrt(), "{spread}");
        // Another step has other noise. Without noise and mask there is no corrupted input.
        let other = t.batch(clean.clone(), &noise.at_step(1)).unwrap();
        assert_ne!(host(other.encoder_input()), seen);
        let t = trainer("train.batch_size = 50");
        assert!(t.batch(clean, &noise).unwrap().corrupted.is_none());
    }
}
