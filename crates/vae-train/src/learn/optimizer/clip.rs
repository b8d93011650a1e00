//! Clipping of gradients by their global norm.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use super::stateful::take_all;

/// Returns the sum of `grads`, scaled so that the Euclidean norm over all parameters is at most
/// `max_norm` (Pascanu et al. 2013). Burn clips each parameter separately.
pub fn clip_global_norm<M: Module>(
    module: &M,
    grads: Vec<GradientsParams>,
    max_norm: f64,
) -> GradientsParams {
    struct Sum {
        from: Vec<GradientsParams>,
        to: GradientsParams,
        square: Option<Tensor<1>>,
    }
    impl ModuleVisitor for Sum {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let grads = take_all::<D>(&mut self.from, param.id);
            if let Some(grad) = grads.into_iter().reduce(|sum, grad| sum + grad) {
                let square = grad.clone().square().sum();
                self.square = Some(match self.square.take() {
                    Some(sum) => sum + square,
                    None => square,
                });
                self.to.register(param.id, grad);
            }
        }
    }
    struct Scale {
        grads: GradientsParams,
        factor: Tensor<1>,
    }
    impl ModuleVisitor for Scale {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(grad) = self.grads.remove::<D>(param.id) {
                let factor = self.factor.clone().reshape([1; D]);
                self.grads.register(param.id, grad * factor);
            }
        }
    }
    let mut sum = Sum { from: grads, to: GradientsParams::new(), square: None };
    module.visit(&mut sum);
    let Some(square) = sum.square else { return sum.to };
    // As in PyTorch, the factor is max_norm / (norm + 1e-6), at most 1.
    let factor = square.sqrt().add_scalar(1e-6).recip().mul_scalar(max_norm).clamp_max(1.0);
    let mut scale = Scale { grads: sum.to, factor };
    module.visit(&mut scale);
    scale.grads
}
