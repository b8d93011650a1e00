//! How to convolve with few multiplications.
//!
//! Along one axis, a convolution takes a patch of pixels to one pixel or two. Each [`Method`] does it
//! in three linear steps: the patch gives terms ([`Gather`]), each term is multiplied by a combination
//! of the three weights, and the products give the pixels ([`Scatter`]). An image has two axes: each
//! step is done along both, and n terms become n * n.
//!
//! - Size is kept: two pixels need 4 multiplications instead of 6, so an image needs 16 of 36 (F(2x2,
//!   3x3) of Lavin and Gray 2016, after Winograd 1980).
//! - Size is doubled: with pixels x of the small image and weights a, b, c, two pixels are
//!   a x[i-1] + (b + c) x[i] and (a + b) x[i] + c x[i+1]. With s = a + b + c they are
//!   a (x[i-1] - x[i]) + s x[i] and s x[i] + c (x[i+1] - x[i]): 3 multiplications instead of 6, so an
//!   image needs 9 of 36.
//! - Size is halved: one pixel needs 3 multiplications, as by definition.
//!
//! The gradient of the input is the adjoint of a method: a method too.

use crate::ops::Size;

/// The terms of a patch, along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gather {
    /// The pixels around a pixel; the next position is `step` pixels on.
    Around { step: usize },
    /// Winograd's terms of four pixels.
    Winograd,
    /// The adjoint of [`Scatter::Winograd`].
    WinogradAdjoint,
    /// A pixel, and how its neighbours differ from it.
    Doubled,
    /// The adjoint of [`Scatter::Doubled`].
    DoubledAdjoint,
    /// The adjoint of [`Gather::Doubled`] after that of [`Scatter::Doubled`].
    DoubledBack,
    /// A pixel twice, and the next one.
    HalvedBack,
}

/// Two pixels of the products of terms, along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scatter {
    /// Winograd's.
    Winograd,
    /// The sums of the first two and of the last two.
    Doubled,
    /// The first, and the sum of the others.
    HalvedBack,
}

/// A way to convolve.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    pub gather: Gather,
    /// For each term, the combination of the three weights.
    pub weights: &'static [[f32; 3]],
    /// `None`: all products are added up to one pixel.
    pub scatter: Option<Scatter>,
}

const WINOGRAD: Method = Method {
    gather: Gather::Winograd,
    weights: &[[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]],
    scatter: Some(Scatter::Winograd),
};

const WINOGRAD_BACK: Method = Method {
    weights: &[[0.0, 0.0, 1.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [1.0, 0.0, 0.0]],
    ..WINOGRAD
};

const PLAIN: Method = Method {
    gather: Gather::Around { step: 1 },
    weights: &[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    scatter: None,
};

const PLAIN_BACK: Method =
    Method { weights: &[[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]], ..PLAIN };

const HALVE: Method = Method { gather: Gather::Around { step: 2 }, ..PLAIN };

const HALVE_BACK: Method = Method {
    gather: Gather::HalvedBack,
    weights: &[[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]],
    scatter: Some(Scatter::HalvedBack),
};

const DOUBLE: Method = Method {
    gather: Gather::Doubled,
    weights: &[[1.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 1.0]],
    scatter: Some(Scatter::Doubled),
};

const DOUBLE_BACK: Method = Method { gather: Gather::DoubledBack, scatter: None, ..DOUBLE };

/// Fewest channels on both sides for which the terms of [`WINOGRAD`] pay.
const WINOGRAD_CHANNELS: usize = 8;

impl Method {
    /// Returns the best method for an image with `before` channels and an output with `after`.
    pub fn forward(size: Size, before: usize, after: usize) -> Self {
        match size {
            Size::Same if before.min(after) >= WINOGRAD_CHANNELS => WINOGRAD,
            Size::Same => PLAIN,
            Size::Halve => HALVE,
            Size::Double => DOUBLE,
        }
    }

    /// Returns the method that takes gradients of the output to those of the image.
    pub fn backward(size: Size, before: usize, after: usize) -> Self {
        match size {
            Size::Same if before.min(after) >= WINOGRAD_CHANNELS => WINOGRAD_BACK,
            Size::Same => PLAIN_BACK,
            Size::Halve => HALVE_BACK,
            Size::Double => DOUBLE_BACK,
        }
    }

    /// Returns the terms of an image, along both axes.
    pub fn terms(&self) -> usize {
        self.weights.len().pow(2)
    }

    /// Returns the rows and columns of positions that give an output of this size.
    pub fn grid(&self, output: [usize; 2]) -> [usize; 2] {
        match self.scatter {
            Some(_) => output.map(|n| n.div_ceil(2)),
            None => output,
        }
    }
}

impl Scatter {
    /// Returns the adjoint: it takes the gradients of pixels to those of products.
    pub fn adjoint(self) -> Gather {
        match self {
            Self::Winograd => Gather::WinogradAdjoint,
            Self::Doubled => Gather::DoubledAdjoint,
            Self::HalvedBack => unreachable!("weights get their gradient by the forward method"),
        }
    }
}
