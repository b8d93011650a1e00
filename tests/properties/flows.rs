//! Flows: the inverse undoes them, and the log-determinant is that of their slopes.

use burn::tensor::Tensor;
use vae_model::init::Init;
use vae_model::posterior::IafStep;
use vae_model::prior::RealNvpConfig;

use super::models::{SHAKE, shaken};
use super::statistics::{Mean, largest_difference, noise, normal};
use crate::common::{device, host, tensor};

fn log_abs_det(mut rows: Vec<Vec<f64>>) -> f64 {
    let mut sum = 0.0;
    for i in 0..rows.len() {
        let pivot = (i..rows.len()).max_by(|a, b| rows[*a][i].abs().total_cmp(&rows[*b][i].abs()));
        rows.swap(i, pivot.unwrap());
        let top = rows[i].clone();
        sum += top[i].abs().ln();
        for row in &mut rows[i + 1..] {
            let factor = row[i] / top[i];
            row.iter_mut().zip(&top).for_each(|(x, top)| *x -= factor * top);
        }
    }
    sum
}

#[test]
fn a_realnvp_is_undone_by_its_inverse_and_has_the_determinant_of_its_differences() {
    const ROWS: usize = 100;
    // The slopes of one step are right to 5e-5, of which rounding has the larger part.
    const STEP: f64 = 2e-3;
    let (noise, device) = (noise(14), device());
    let config = RealNvpConfig { couplings: 3, hidden: vec![8] };
    for latent in [2, 5] {
        let flow = shaken(config.flow(&Init::drawn(&noise, &device), latent), SHAKE, 15);
        let z = normal(16, [ROWS, latent]);
        let (e, log_det) = flow.forward(z.clone());
        // Each of three couplings may enlarge what was rounded by e^2, 400 in all.
        let there_and_back = largest_difference(&host(flow.inverse(e)), &host(z.clone()));
        let back_and_there = flow.forward(flow.inverse(z.clone())).0;
        let back_and_there = largest_difference(&host(back_and_there), &host(z.clone()));
        assert!(there_and_back.max(back_and_there) < 1e-3, "{there_and_back} {back_and_there}");

        // Slopes in dimension d, row by row.
        let slopes = |d: usize| {
            let step: Vec<f32> =
                (0..latent).map(|i| if i == d { STEP as f32 } else { 0.0 }).collect();
            let step = tensor(step, [1, latent], &device);
            let at = |z: Tensor<2>| host(flow.forward(z).0);
            let (above, below) = (at(z.clone() + step.clone()), at(z.clone() - step));
            above.iter().zip(&below).map(|(a, b)| (a - b) / (2.0 * STEP)).collect::<Vec<f64>>()
        };
        let slopes: Vec<Vec<f64>> = (0..latent).map(slopes).collect();
        let log_det = host(log_det);
        let right = (0..ROWS).filter(|row| {
            let of_row = |d: &Vec<f64>| d[row * latent..][..latent].to_vec();
            let numeric = log_abs_det(slopes.iter().map(of_row).collect());
            (numeric - log_det[*row]).abs() < 5e-3
        });
        // Where a ReLU turns within the step there is no slope to compare with: at one row in ten
        // or so.
        let right = right.count();
        assert!(right > ROWS * 3 / 4, "{latent} dimensions: right at {right} of {ROWS}");
        assert!(Mean::of(&log_det).error > 0.01, "the flow does nothing: {log_det:?}");
    }
}

/// A step of an autoregressive flow with rows of z and of its context.
fn iaf_step() -> (IafStep, Tensor<2>, Tensor<2>) {
    let (rows, latent, context) = (6, 4, 3);
    let step = IafStep::new(&Init::drawn(&noise(17), &device()), latent, context, 16);
    (shaken(step, SHAKE, 18), normal(19, [rows, latent]), normal(20, [rows, context]))
}

#[test]
fn an_autoregressive_step_can_be_undone_one_dimension_after_the_other() {
    let (step, z, context) = iaf_step();
    let [rows, latent] = z.dims();
    let forward = |z: &[f32]| {
        let z = tensor(z.to_vec(), [rows, latent], &device());
        host(step.forward(z, context.clone()).0)
    };
    let target = host(step.forward(z.clone(), context.clone()).0);
    // In each dimension the step is a straight line, which the dimensions before and no others
    // decide.
    let mut found = vec![0.0f32; rows * latent];
    for d in 0..latent {
        let at_zero = forward(&found);
        let mut one = found.clone();
        one.iter_mut().skip(d).step_by(latent).for_each(|z| *z = 1.0);
        let at_one = forward(&one);
        for i in (d..rows * latent).step_by(latent) {
            found[i] = ((target[i] - at_zero[i]) / (at_one[i] - at_zero[i])) as f32;
        }
    }
    let found: Vec<f64> = found.into_iter().map(f64::from).collect();
    // A slope is a sigmoid of about 2: rounding grows by less than two in each of four dimensions.
    let apart = largest_difference(&found, &host(z));
    assert!(apart < 1e-4, "{apart}");
}

#[test]
fn the_jacobian_of_an_autoregressive_step_is_triangular_and_has_its_determinant() {
    let (step, z, context) = iaf_step();
    let [rows, latent] = z.dims();
    let mut log_det = vec![0.0; rows];
    let mut below = 0.0;
    for i in 0..latent {
        let leaf = Tensor::from_inner(z.clone()).require_grad();
        let output = step.forward(leaf.clone(), context.clone()).0.narrow(1, i, 1);
        let slopes = host(leaf.grad(&output.sum().backward()).unwrap());
        for (row, slopes) in slopes.chunks(latent).enumerate() {
            assert!(slopes[i + 1..].iter().all(|slope| *slope == 0.0), "row {i}: {slopes:?}");
            below += slopes[..i].iter().map(|slope| slope.abs()).sum::<f64>();
            log_det[row] += slopes[i].ln();
        }
    }
    assert!(below > 0.1, "no dimension depends on another: {below}");
    let own = host(step.forward(z, context).1);
    let apart = largest_difference(&log_det, &own);
    assert!(apart < 1e-5, "{apart}");
}
