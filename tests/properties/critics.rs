//! Critics: gradients in their input, clipped weights, the gradient penalty.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use vae_model::critic::{Critic, CriticConfig};
use vae_model::init::Init;
use vae_model::objective::{AdversarialConfig, CriticLoss};
use vae_model::parameters::parameters;

use super::models::shaken;
use super::statistics::{largest_difference, noise, norm, normal};
use crate::common::{by_path, device, host};

/// A critic of rows of 5 numbers, with weights a few times those that it starts from.
fn critic(hidden: &[usize], slope: f64) -> Critic {
    let config = CriticConfig { hidden: hidden.to_vec(), slope };
    shaken(config.init(&Init::drawn(&noise(28), &device()), 5), 0.5, 29)
}

#[test]
fn a_critics_gradient_in_its_input_is_that_of_its_score() {
    for slope in [0.0, 0.2] {
        let critic = critic(&[16, 8], slope);
        let rows = normal(30, [50, 5]);
        let leaf = Tensor::from_inner(rows.clone()).require_grad();
        let slopes = leaf.grad(&critic.score(leaf.clone()).sum().backward()).unwrap();
        let apart = largest_difference(&host(critic.input_gradient(rows)), &host(slopes));
        assert!(apart < 1e-5, "slope {slope}: {apart}");
    }
}

#[test]
fn a_clipped_critic_has_all_weights_in_the_box_and_can_still_be_trained() {
    let bound = 0.1f32;
    let critic = critic(&[16, 8], 0.2).train();
    let before = parameters(&critic);
    let clipped = critic.clipped(f64::from(bound));
    let after = parameters(&clipped);
    let mut moved = 0;
    for (path, weights) in &before {
        for (old, new) in weights.values.iter().zip(&after[path].values) {
            assert_eq!(*new, old.clamp(-bound, bound), "{path}");
            moved += usize::from(new != old);
        }
    }
    assert!(moved > 0, "nothing was outside");
    let score = clipped.score(normal(31, [50, 5])).sum();
    let grads = GradientsParams::from_grads(score.backward(), &clipped);
    assert_eq!(grads.len(), before.len());
}

/// The gradient penalty of a critic on fixed rows.
fn penalty(critic: &Critic) -> Tensor<1> {
    let config = AdversarialConfig { loss: CriticLoss::WassersteinGp, ..Default::default() };
    let loss = config.critic_loss(critic, normal(32, [4, 5]), normal(33, [4, 5]), None, &noise(34));
    let found = loss.terms.into_iter().find(|(name, _)| *name == "gradient_penalty");
    found.unwrap().1
}

#[test]
fn the_gradient_of_the_gradient_penalty_is_that_of_its_differences() {
    const DIRECTIONS: u64 = 11;
    // Rounding makes 2e-4 of a penalty of size 1, and the curvature less.
    const STEP: f64 = 5e-4;
    let critic = critic(&[6, 6], 0.2);
    let trained = critic.clone().train();
    let grads = GradientsParams::from_grads(penalty(&trained).backward(), &trained);
    let grads = by_path(&trained, grads);
    let length = norm(&grads.values().flatten().copied().collect::<Vec<f64>>());
    assert!(length > 0.01, "{length}");
    let at = parameters(&critic);
    let right = (0..DIRECTIONS).filter(|direction| {
        let moved = |by: f64| shaken(critic.clone(), by, 100 + direction);
        let value = |by: f64| host(penalty(&moved(by)))[0];
        let difference = (value(STEP) - value(-STEP)) / (2.0 * STEP);
        let along: f64 = parameters(&moved(1.0))
            .iter()
            .flat_map(|(path, to)| {
                let way = to.values.iter().zip(&at[path].values).map(|(to, at)| to - at);
                way.zip(&grads[path]).map(|(way, slope)| f64::from(way) * slope).collect::<Vec<_>>()
            })
            .sum();
        // Along a random direction the slope is about as large as the gradient is long.
        (difference - along).abs() < 0.02 * length + 2e-3
    });
    // The penalty jumps where an activation turns, as one of some 50 does within the step in one
    // direction of ten or so.
    let right = right.count();
    assert!(right >= 8, "right in {right} of {DIRECTIONS} directions");
}
