//! Draws from a diagonal Gaussian, and the terms of its density: each one step of the backward pass
//! in place of half a dozen. For few latent numbers the cost of a step is its overhead.

use burn::tensor::Tensor;

use crate::math::log_2_pi;

/// Returns z = mean + exp(log_var / 2) eps (Kingma and Welling 2014, section 2.4),
/// `[k, batch, latent]`, for mean and log_var `[batch, latent]` and noise `[k, batch, latent]`,
/// which gets no gradient.
pub fn reparameterize(mean: Tensor<2>, log_var: Tensor<2>, eps: Tensor<3>) -> Tensor<3> {
    #[cfg(feature = "flex")]
    if super::is_on_host(&mean.device().inner()) {
        return flex::reparameterize(mean, log_var, eps);
    }
    composed_draw(mean, log_var, eps)
}

/// Returns what [`reparameterize`] returns, by Burn's operations.
fn composed_draw(mean: Tensor<2>, log_var: Tensor<2>, eps: Tensor<3>) -> Tensor<3> {
    let sigma = log_var.mul_scalar(0.5).exp().unsqueeze::<3>();
    mean.unsqueeze::<3>() + sigma * eps
}

/// Returns log N(mean + sigma eps; mean, sigma^2) = -1/2 sum (log 2 pi + log_var + eps^2) in nats,
/// `[k, batch]`, for log_var `[batch, latent]` and noise `[k, batch, latent]`, which gets no
/// gradient.
pub fn log_density_at_draw(log_var: Tensor<2>, eps: Tensor<3>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if super::is_on_host(&log_var.device().inner()) {
        return flex::log_density_at_draw(log_var, eps);
    }
    composed_density(log_var, eps)
}

/// Returns what [`log_density_at_draw`] returns, by Burn's operations.
fn composed_density(log_var: Tensor<2>, eps: Tensor<3>) -> Tensor<2> {
    let [_, _, latent] = eps.dims();
    let sum: Tensor<2> = (eps.square() + log_var.unsqueeze::<3>()).sum_dim(2).squeeze_dim(2);
    sum.add_scalar(latent as f64 * log_2_pi()).mul_scalar(-0.5)
}

/// Returns log N(x; 0, I) in nats, `[k, batch]`, for x `[k, batch, latent]`.
pub fn log_standard_normal(x: Tensor<3>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if super::is_on_host(&x.device().inner()) {
        return flex::log_standard_normal(x);
    }
    composed_standard(x)
}

/// Returns what [`log_standard_normal`] returns, by Burn's operations.
fn composed_standard(x: Tensor<3>) -> Tensor<2> {
    let [_, _, latent] = x.dims();
    let sum: Tensor<2> = x.square().sum_dim(2).squeeze_dim(2);
    sum.add_scalar(latent as f64 * log_2_pi()).mul_scalar(-0.5)
}

/// Returns KL(N(mean, sigma^2) || N(0, 1)) = 1/2 (mean^2 + sigma^2 - log sigma^2 - 1) of each number
/// in nats (Kingma and Welling 2014, appendix B), `[batch, latent]`, as mean and log_var.
pub fn kl_from_standard(mean: Tensor<2>, log_var: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if super::is_on_host(&mean.device().inner()) {
        return flex::kl_from_standard(mean, log_var);
    }
    composed_kl(mean, log_var)
}

/// Returns what [`kl_from_standard`] returns, by Burn's operations.
fn composed_kl(mean: Tensor<2>, log_var: Tensor<2>) -> Tensor<2> {
    let sum = mean.square() + log_var.clone().exp() - log_var;
    sum.sub_scalar(1.0).mul_scalar(0.5)
}

/// The operations on the backend `flex`.
#[cfg(feature = "flex")]
mod flex {
    use burn::backend::Flex;
    use burn::backend::autodiff::checkpoint::base::Checkpointer;
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops};
    use burn::backend::flex::FlexTensor;
    use burn::tensor::Tensor;

    use crate::math::log_2_pi;
    use crate::ops::flex::{apply, dims, host, numbers, numbers_mut, operand, tensor, whole};

    pub fn reparameterize(mean: Tensor<2>, log_var: Tensor<2>, eps: Tensor<3>) -> Tensor<3> {
        let eps = host(eps.inner());
        apply(Draw, [operand(mean), operand(log_var)], |[mean, log_var]| {
            let sigma: Vec<f32> = numbers(&log_var).iter().map(|l| (0.5 * l).exp()).collect();
            let mut z = Vec::with_capacity(numbers(&eps).len());
            for eps in numbers(&eps).chunks_exact(sigma.len()) {
                let moments = numbers(&mean).iter().zip(&sigma);
                z.extend(moments.zip(eps).map(|((mean, sigma), eps)| mean + sigma * eps));
            }
            let z = tensor(z, dims::<3>(&eps));
            ((eps, sigma), z)
        })
    }

    #[derive(Debug)]
    struct Draw;

    impl Backward<Flex, 2> for Draw {
        /// Noise `[k, batch, latent]`, and standard deviations.
        type State = (FlexTensor, Vec<f32>);

        fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
            let (eps, sigma) = ops.state;
            let [_, batch, latent] = dims(&eps);
            let g = whole(grads.consume::<Flex>(&ops.node));
            let (mut of_mean, mut of_sigma) = (vec![0.0; sigma.len()], vec![0.0; sigma.len()]);
            let draws = numbers(&g).chunks_exact(sigma.len());
            for (g, eps) in draws.zip(numbers(&eps).chunks_exact(sigma.len())) {
                let sums = of_mean.iter_mut().zip(&mut of_sigma);
                for ((of_mean, of_sigma), (g, eps)) in sums.zip(g.iter().zip(eps)) {
                    *of_mean += g;
                    *of_sigma += g * eps;
                }
            }
            let [to_mean, to_log_var] = ops.parents;
            if let Some(node) = to_mean {
                grads.register::<Flex>(node.id, tensor(of_mean, [batch, latent]));
            }
            if let Some(node) = to_log_var {
                // The derivative of sigma = exp(log_var / 2) is sigma / 2.
                of_sigma.iter_mut().zip(&sigma).for_each(|(g, sigma)| *g *= 0.5 * sigma);
                grads.register::<Flex>(node.id, tensor(of_sigma, [batch, latent]));
            }
        }
    }

    /// Returns -1/2 of each row's sum, with the constant of a Gaussian's density.
    fn density(sums: impl Iterator<Item = f32>, latent: usize) -> Vec<f32> {
        let constant = (latent as f64 * log_2_pi()) as f32;
        sums.map(|sum| -0.5 * (sum + constant)).collect()
    }

    pub fn log_density_at_draw(log_var: Tensor<2>, eps: Tensor<3>) -> Tensor<2> {
        let eps = host(eps.inner());
        apply(Density, [operand(log_var)], |[log_var]| {
            let [k, batch, latent] = dims(&eps);
            let rows = numbers(&eps).chunks_exact(latent);
            let log_vars = numbers(&log_var).chunks_exact(latent).cycle();
            let sums = rows.zip(log_vars).map(|(eps, log_var)| {
                eps.iter().zip(log_var).map(|(eps, log_var)| eps * eps + log_var).sum::<f32>()
            });
            ([k, batch, latent], tensor(density(sums, latent), [k, batch]))
        })
    }

    #[derive(Debug)]
    struct Density;

    impl Backward<Flex, 1> for Density {
        /// k, batch and latent.
        type State = [usize; 3];

        fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
            let [_, batch, latent] = ops.state;
            let g = whole(grads.consume::<Flex>(&ops.node));
            let mut of_rows = vec![0.0; batch];
            for g in numbers(&g).chunks_exact(batch) {
                of_rows.iter_mut().zip(g).for_each(|(sum, g)| *sum -= 0.5 * g);
            }
            let [to_log_var] = ops.parents;
            if let Some(node) = to_log_var {
                let all = of_rows.iter().flat_map(|g| std::iter::repeat_n(*g, latent)).collect();
                grads.register::<Flex>(node.id, tensor(all, [batch, latent]));
            }
        }
    }

    pub fn log_standard_normal(x: Tensor<3>) -> Tensor<2> {
        apply(Standard, [operand(x)], |[x]| {
            let [k, batch, latent] = dims(&x);
            let rows = numbers(&x).chunks_exact(latent);
            let sums = rows.map(|x| x.iter().map(|x| x * x).sum::<f32>());
            let value = tensor(density(sums, latent), [k, batch]);
            (x, value)
        })
    }

    #[derive(Debug)]
    struct Standard;

    impl Backward<Flex, 1> for Standard {
        /// x `[k, batch, latent]`.
        type State = FlexTensor;

        fn backward(self, ops: Ops<FlexTensor, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
            let mut x = ops.state;
            let [_, _, latent] = dims(&x);
            let g = whole(grads.consume::<Flex>(&ops.node));
            let rows = numbers_mut(&mut x).chunks_exact_mut(latent);
            for (x, g) in rows.zip(numbers(&g)) {
                x.iter_mut().for_each(|x| *x *= -g);
            }
            let [to_x] = ops.parents;
            if let Some(node) = to_x {
                grads.register::<Flex>(node.id, x);
            }
        }
    }

    pub fn kl_from_standard(mean: Tensor<2>, log_var: Tensor<2>) -> Tensor<2> {
        apply(Kl, [operand(mean), operand(log_var)], |[mean, log_var]| {
            let variances: Vec<f32> = numbers(&log_var).iter().map(|l| l.exp()).collect();
            let moments = numbers(&mean).iter().zip(numbers(&log_var)).zip(&variances);
            let each = moments.map(|((m, l), v)| 0.5 * (m * m + v - l - 1.0)).collect();
            let value = tensor(each, dims::<2>(&mean));
            ((mean, variances), value)
        })
    }

    #[derive(Debug)]
    struct Kl;

    impl Backward<Flex, 2> for Kl {
        /// Means `[batch, latent]`, and variances.
        type State = (FlexTensor, Vec<f32>);

        fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
            let (mut mean, mut variances) = ops.state;
            let shape = dims::<2>(&mean);
            let g = whole(grads.consume::<Flex>(&ops.node));
            let [to_mean, to_log_var] = ops.parents;
            if let Some(node) = to_log_var {
                variances.iter_mut().zip(numbers(&g)).for_each(|(v, g)| *v = 0.5 * (*v - 1.0) * g);
                grads.register::<Flex>(node.id, tensor(variances, shape));
            }
            if let Some(node) = to_mean {
                numbers_mut(&mut mean).iter_mut().zip(numbers(&g)).for_each(|(m, g)| *m *= g);
                grads.register::<Flex>(node.id, mean);
            }
        }
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::tensor::{Device, TensorData, Tolerance};

    use super::*;

    fn wave<const D: usize>(shape: [usize; D], phase: f32) -> Tensor<D> {
        let n: usize = shape.iter().product();
        let values: Vec<f32> = (0..n).map(|i| 2.0 * (i as f32 * 0.37 + phase).sin()).collect();
        Tensor::from_data(TensorData::new(values, shape), &Device::flex().autodiff())
    }

    const SHAPES: [[usize; 3]; 4] = [[1, 1, 1], [1, 5, 3], [4, 1, 7], [3, 6, 50]];

    /// Returns the value, and the gradients of mean, log_var and x for a gradient of the value.
    fn all<const R: usize>(
        shape: [usize; 3],
        of: impl Fn(Tensor<2>, Tensor<2>, Tensor<3>) -> Tensor<R>,
    ) -> Vec<TensorData> {
        let [_, batch, latent] = shape;
        let mean = wave([batch, latent], 0.1).require_grad();
        let log_var = wave([batch, latent], 0.5).require_grad();
        let x = wave(shape, 0.9).require_grad();
        let y = of(mean.clone(), log_var.clone(), x.clone());
        let grads = (y.clone() * wave(y.dims(), 1.3)).sum().backward();
        let gradients = [mean.grad(&grads), log_var.grad(&grads)].map(|g| g.map(Tensor::into_data));
        let of_x = x.grad(&grads).map(Tensor::into_data);
        [Some(y.inner().into_data())].into_iter().chain(gradients).chain([of_x]).flatten().collect()
    }

    fn assert_same(found: &[TensorData], expected: &[TensorData]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            found.assert_approx_eq(expected, Tolerance::<f32>::rel_abs(1e-5, 1e-5));
        }
    }

    #[test]
    fn values_and_gradients_are_those_of_the_composition() {
        for shape in SHAPES {
            let constant = |x: Tensor<3>| Tensor::from_inner(x.inner());
            assert_same(
                &all(shape, |mean, log_var, eps| reparameterize(mean, log_var, eps.inner())),
                &all(shape, |mean, log_var, eps| composed_draw(mean, log_var, constant(eps))),
            );
            assert_same(
                &all(shape, |_, log_var, eps| log_density_at_draw(log_var, eps.inner())),
                &all(shape, |_, log_var, eps| composed_density(log_var, constant(eps))),
            );
            assert_same(
                &all(shape, |_, _, x| log_standard_normal(x)),
                &all(shape, |_, _, x| composed_standard(x)),
            );
            assert_same(
                &all(shape, |mean, log_var, _| kl_from_standard(mean, log_var)),
                &all(shape, |mean, log_var, _| composed_kl(mean, log_var)),
            );
        }
    }
}
