//! Discrete codes: the nearest code is taken, gradients go straight through, and their prior is a
//! distribution.

use std::collections::BTreeSet;

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use vae_model::init::Init;
use vae_model::posterior::{CodeSpace, PosteriorDistribution};
use vae_model::prior::CodePrior;

use super::models::{images, shaken, vae};
use super::statistics::{largest_difference, noise, normal};
use crate::common::{device, host};

#[test]
fn codes_are_the_nearest_and_their_gradient_goes_straight_through() {
    const LATENT: usize = 6;
    const CODES: usize = 5;
    const ROWS: usize = 40;
    for (width, way) in [(2, "moving-average"), (3, "gradient")] {
        let table =
            format!("kind = \"vq\"\ncodes = {CODES}\nwidth = {width}\ncodebook = \"{way}\"");
        let vae = vae(LATENT, &table, "", 0.5).train();
        let PosteriorDistribution::Vq(q) = vae.encode(images(ROWS), None) else {
            panic!("no codes")
        };
        let positions = LATENT / width;
        assert_eq!(vae.code_space(), Some(CodeSpace { num_embeddings: CODES, positions }));

        // The vectors of all codes, and by hand which is the nearest to each point.
        let each = (0..CODES * positions).map(|i| (i / positions) as i64).collect::<Vec<_>>();
        let each = Tensor::from_data(TensorData::new(each, [CODES, positions]), &device());
        let vectors = host(vae.vectors(each).unwrap().inner());
        let vector = |code: usize| &vectors[code * LATENT..code * LATENT + width];
        let points = host(q.points.clone().inner());
        let distance = |point: &[f64], code: usize| -> f64 {
            point.iter().zip(vector(code)).map(|(p, e)| (p - e).powi(2)).sum()
        };
        let nearest: Vec<usize> = points
            .chunks(width)
            .map(|point| {
                let nearer =
                    |a: &usize, b: &usize| distance(point, *a).total_cmp(&distance(point, *b));
                (0..CODES).min_by(nearer).unwrap()
            })
            .collect();
        let found: Vec<usize> =
            q.nearest().into_data().iter::<i64>().map(|code| code as usize).collect();
        assert_eq!(found, nearest, "{way}");
        let used: BTreeSet<usize> = nearest.iter().copied().collect();
        assert!(used.len() > 1, "one code is no choice");

        // z are those vectors, and so is the mean.
        let draw = PosteriorDistribution::Vq(q.clone()).draw(&noise(38), 2);
        let expected: Vec<f64> = nearest.iter().flat_map(|c| vector(*c).to_vec()).collect();
        let z = host(draw.z.clone().inner());
        let twice = [expected.clone(), expected.clone()].concat();
        assert!(largest_difference(&z, &twice) < 1e-6, "{way}");
        assert!(
            largest_difference(
                &host(PosteriorDistribution::Vq(q.clone()).mean().inner()),
                &expected
            ) < 1e-6
        );

        // The slope of anything in z is its slope in the points.
        let slope = normal(39, [ROWS, LATENT]);
        let points = Tensor::from_inner(q.points.clone().inner()).require_grad();
        let mut q = q;
        q.points = points.clone();
        let mean = PosteriorDistribution::Vq(q.clone()).mean();
        let z: Tensor<2> = PosteriorDistribution::Vq(q).draw(&noise(38), 1).z.squeeze_dim(0);
        for z in [z, mean] {
            let grads = (z * Tensor::from_inner(slope.clone())).sum().backward();
            let through = host(points.grad(&grads).unwrap());
            assert!(largest_difference(&through, &host(slope.clone())) < 1e-6, "{way}");
        }

        // Perplexity is the exponential of the entropy of how often each code is used.
        let share = |code: usize| {
            let uses = nearest.iter().filter(|c| **c == code).count();
            uses as f64 / nearest.len() as f64
        };
        let entropy: f64 = used.iter().map(|code| -share(*code) * share(*code).ln()).sum();
        let terms = draw.regularizer.unwrap().terms;
        let perplexity = terms.into_iter().find(|(name, _)| *name == "perplexity").unwrap().1;
        let perplexity = host(perplexity.inner())[0];
        assert!((perplexity - entropy.exp()).abs() < 1e-4, "{perplexity} {}", entropy.exp());
    }
}

#[test]
fn a_code_is_judged_by_those_before_it_alone() {
    const CODES: usize = 4;
    const POSITIONS: usize = 3;
    let prior = CodePrior::new(&Init::drawn(&noise(40), &device()), CODES, POSITIONS);
    let prior = shaken(prior, 0.3, 41);
    let log_probs = |codes: [i64; POSITIONS]| {
        let codes = Tensor::from_data(TensorData::new(codes.to_vec(), [1, POSITIONS]), &device());
        host(prior.log_probs(codes))
    };
    let before = log_probs([1, 2, 3]);
    for changed in 0..POSITIONS {
        let mut codes = [1, 2, 3];
        codes[changed] = 0;
        for (position, (a, b)) in
            before.chunks(CODES).zip(log_probs(codes).chunks(CODES)).enumerate()
        {
            let apart = largest_difference(a, b);
            let said = format!("a change at {changed} changes {position} by {apart}");
            assert_eq!(apart > 1e-4, position > changed, "{said}");
        }
    }
    // And all of them are a distribution: over all rows of codes it adds up to one.
    let rows = CODES.pow(POSITIONS as u32);
    let all: Vec<i64> = (0..rows)
        .flat_map(|i| [i / (CODES * CODES), i / CODES % CODES, i % CODES])
        .map(|c| c as i64)
        .collect();
    let all = Tensor::from_data(TensorData::new(all, [rows, POSITIONS]), &device());
    let sum: f64 = host(prior.log_prob(all)).iter().map(|l| l.exp()).sum();
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
}
