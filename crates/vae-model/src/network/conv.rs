//! Convolutional networks for images. Each stage of the encoder halves the image by a strided
//! convolution. Each stage of the decoder doubles the image by repeating pixels, then convolves it,
//! which avoids checkerboard artifacts (Odena et al. 2016). Residual blocks and group normalization
//! are optional.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Activation, Decoder, Encoder, Features, Mlp, NetworkConfig, NetworkFamily};
use crate::check;
use crate::error::ConfigError;
use crate::init::Init;
use crate::multiplications::weights_of_matrices;
use crate::ops::{After, Size, convolve, group_norm};

/// Settings of a convolutional network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConvConfig {
    /// Channels after each halving (encoder), or before each doubling (decoder).
    pub channels: Vec<usize>,
    /// Widths of the fully connected layers between the smallest image and the latent.
    pub hidden: Vec<usize>,
    /// Activation after every layer.
    pub activation: Activation,
    /// Residual blocks in each stage (He et al. 2016).
    pub residual: usize,
    /// Groups of group normalization (Wu and He 2018) after every convolution; 0 for none.
    pub groups: usize,
    /// Layers in each head of the posterior, as for `mlp`. Must be 1 for decoders, which have no
    /// heads.
    pub head_depth: usize,
}

impl Default for ConvConfig {
    fn default() -> Self {
        Self {
            channels: vec![32, 64],
            hidden: vec![256],
            activation: Activation::Relu,
            residual: 0,
            groups: 0,
            head_depth: 1,
        }
    }
}

impl ConvConfig {
    /// Returns channels, height and width of the image after all halvings. `channels` is its
    /// channel count.
    fn smallest(&self, shape: &[usize], channels: Option<&usize>) -> [usize; 3] {
        let side = |i: usize| shape.get(i).map_or(1, |n| (n >> self.channels.len()).max(1));
        [channels.copied().unwrap_or(1), side(1), side(2)]
    }
}

impl NetworkFamily for ConvConfig {
    fn validate(&self, key: &str) -> Result<(), ConfigError> {
        check::widths(key, "channels", &self.channels, 1..=8, 1024)?;
        check::widths(key, "hidden", &self.hidden, 0..=8, 1 << 14)?;
        check::range(key, "residual", self.residual, 0..=16)?;
        check::range(key, "head_depth", self.head_depth, 1..=8)?;
        if self.groups > 0
            && let Some(c) = self.channels.iter().find(|c| !c.is_multiple_of(self.groups))
        {
            let why = format!("{c} channels cannot be split into {} equal groups", self.groups);
            return check::refuse(key, "groups", why);
        }
        Ok(())
    }

    fn validate_shape(&self, key: &str, shape: &[usize]) -> Result<(), ConfigError> {
        let &[_, height, width] = shape else {
            let why = format!("convolutions need images, not shape {shape:?}: use an mlp");
            return check::refuse(key, "kind", why);
        };
        let halvings = self.channels.len();
        if !height.is_multiple_of(1 << halvings) || !width.is_multiple_of(1 << halvings) {
            let possible = height.trailing_zeros().min(width.trailing_zeros());
            let instead = match possible {
                0 => "for a folder of pictures set data.size to even numbers; otherwise use an mlp"
                    .to_owned(),
                n => format!("use at most {n} entries, or a folder of pictures with data.size"),
            };
            let why = format!("{height}x{width} cannot be halved {halvings} times: {instead}");
            return check::refuse(key, "channels", why);
        }
        Ok(())
    }

    fn has_linear_layers_only(&self) -> bool {
        false
    }

    fn head_depth(&self) -> usize {
        self.head_depth
    }

    fn summary(&self) -> String {
        let channels: Vec<String> = self.channels.iter().map(usize::to_string).collect();
        format!("conv {}", channels.join("-"))
    }

    fn mirrored(&self) -> NetworkConfig {
        let reversed = |widths: &[usize]| widths.iter().rev().copied().collect();
        let (channels, hidden) = (reversed(&self.channels), reversed(&self.hidden));
        Self { channels, hidden, head_depth: 1, ..self.clone() }.into()
    }

    fn encoder(&self, init: &Init<'_>, shape: &[usize], condition: usize) -> (Encoder, Features) {
        let mut before = shape.first().copied().unwrap_or(1) + condition;
        let mut stages = Vec::new();
        for (i, channels) in self.channels.iter().copied().enumerate() {
            let init = init.at("stages").at(i);
            stages.push(ConvStack::new(&init, before, channels, Size::Halve, self));
            before = channels;
        }
        let flat: usize = self.smallest(shape, self.channels.last()).iter().product();
        let trunk = Mlp::new(&init.at("trunk"), flat, &self.hidden, self.activation);
        let features = Features {
            width: self.hidden.last().copied().unwrap_or(flat),
            head_depth: self.head_depth,
            activation: self.activation,
        };
        (Encoder::Conv(ConvEncoder { stages, trunk, shape: shape.to_vec() }), features)
    }

    fn decoder(&self, init: &Init<'_>, latent: usize, shape: &[usize], outputs: usize) -> Decoder {
        let smallest = self.smallest(shape, self.channels.first());
        let mut widths = self.hidden.clone();
        widths.push(smallest.iter().product());
        let trunk = Mlp::new(&init.at("trunk"), latent, &widths, self.activation);
        let mut stages = Vec::new();
        for (i, before) in self.channels.iter().copied().enumerate() {
            let after = self.channels.get(i + 1).copied().unwrap_or(before);
            stages.push(ConvStack::new(
                &init.at("stages").at(i),
                before,
                after,
                Size::Double,
                self,
            ));
        }
        let before = self.channels.last().copied().unwrap_or(1);
        let outputs = shape.first().copied().unwrap_or(1) * outputs;
        let output = Conv::new(&init.at("output"), before, outputs, Size::Same);
        Decoder::Conv(ConvDecoder { trunk, stages, output, smallest })
    }
}

/// A 3x3 convolution that keeps, halves or doubles the size of the image.
#[derive(Module, Debug)]
pub struct Conv {
    /// `[after, before, 3, 3]`.
    weight: Param<Tensor<4>>,
    /// `[after]`.
    bias: Param<Tensor<1>>,
    #[module(skip)]
    size: Size,
}

impl Conv {
    /// Makes a convolution with the initial weights of PyTorch's `nn.Conv2d`: uniform in
    /// +-1/sqrt(inputs).
    fn new(init: &Init<'_>, before: usize, after: usize, size: Size) -> Self {
        let bound = 1.0 / ((before * 9) as f64).sqrt();
        Self {
            weight: init.uniform("weight", [after, before, 3, 3], bound),
            bias: init.uniform("bias", [after], bound),
            size,
        }
    }

    /// Returns the multiplications for an output of `pixels`. A pixel of a doubled image needs 4 of 9.
    fn multiplications(&self, pixels: usize) -> u64 {
        let all = (self.weight.shape().num_elements() * pixels) as u64;
        match self.size {
            Size::Same | Size::Halve => all,
            Size::Double => all * 4 / 9,
        }
    }

    fn forward(&self, x: Tensor<4>, activation: Option<Activation>) -> Tensor<4> {
        convolve(x, self.weight.val(), self.bias.val(), self.size, activation)
    }
}

/// Group normalization (Wu and He 2018): each group of channels of each image gets mean 0 and
/// variance 1, then each channel gets a learned scale and shift.
#[derive(Module, Debug)]
pub struct GroupNorm {
    /// `[channels]`.
    scale: Param<Tensor<1>>,
    /// `[channels]`.
    shift: Param<Tensor<1>>,
    #[module(skip)]
    groups: usize,
}

impl GroupNorm {
    fn new(init: &Init<'_>, channels: usize, groups: usize) -> Self {
        Self {
            scale: init.constant("scale", [channels], 1.0),
            shift: init.constant("shift", [channels], 0.0),
            groups,
        }
    }

    fn forward(&self, x: Tensor<4>, after: After) -> Tensor<4> {
        group_norm(x, self.scale.val(), self.shift.val(), self.groups, after)
    }
}

/// A convolution with optional group normalization.
#[derive(Module, Debug)]
pub struct Layer {
    conv: Conv,
    norm: Option<GroupNorm>,
}

impl Layer {
    fn new(init: &Init<'_>, before: usize, after: usize, size: Size, groups: usize) -> Self {
        Self {
            conv: Conv::new(&init.at("conv"), before, after, size),
            norm: (groups > 0).then(|| GroupNorm::new(&init.at("norm"), after, groups)),
        }
    }

    /// Applies the convolution, the normalization, and what follows.
    fn forward(&self, x: Tensor<4>, after: After) -> Tensor<4> {
        match &self.norm {
            Some(norm) => norm.forward(self.conv.forward(x, None), after),
            None if after.add.is_none() => self.conv.forward(x, Some(after.activation)),
            None => after.forward(self.conv.forward(x, None)),
        }
    }
}

/// One stage: a convolution that changes the channel count, then residual blocks of two layers.
#[derive(Module, Debug)]
pub struct ConvStack {
    first: Layer,
    blocks: Vec<Vec<Layer>>,
    #[module(skip)]
    activation: Activation,
}

impl ConvStack {
    fn new(init: &Init<'_>, before: usize, after: usize, size: Size, c: &ConvConfig) -> Self {
        let layer = |block: usize, i: usize| {
            Layer::new(&init.at("blocks").at(block).at(i), after, after, Size::Same, c.groups)
        };
        Self {
            first: Layer::new(&init.at("first"), before, after, size, c.groups),
            blocks: (0..c.residual).map(|b| vec![layer(b, 0), layer(b, 1)]).collect(),
            activation: c.activation,
        }
    }

    /// Returns the multiplications for an output of `pixels`.
    fn multiplications(&self, pixels: usize) -> u64 {
        let blocks = self.blocks.iter().flatten();
        let layers = std::iter::once(&self.first).chain(blocks);
        layers.map(|layer| layer.conv.multiplications(pixels)).sum()
    }

    /// Maps `[batch, h, w, before]` to `[batch, h', w', after]`, halved or doubled in size.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let activation = self.activation;
        let x = self.first.forward(x, After { add: None, activation });
        self.blocks.iter().fold(x, |x, block| {
            let last = block.len() - 1;
            block.iter().enumerate().fold(x.clone(), |inner, (i, layer)| {
                let add = (i == last).then(|| x.clone());
                layer.forward(inner, After { add, activation })
            })
        })
    }
}

/// The encoder: stages that halve, then fully connected layers.
#[derive(Module, Debug)]
pub struct ConvEncoder {
    stages: Vec<ConvStack>,
    trunk: Mlp,
    #[module(skip)]
    shape: Vec<usize>,
}

impl ConvEncoder {
    /// Returns the multiplications of all layers, and of the first, for one image.
    pub(super) fn multiplications(&self) -> [u64; 2] {
        let pixels = |i: usize| (self.shape[1] >> (i + 1)) * (self.shape[2] >> (i + 1));
        let stages = self.stages.iter().enumerate();
        let all: u64 = stages.map(|(i, stage)| stage.multiplications(pixels(i))).sum();
        let first = self.stages.first().map_or(0, |s| s.first.conv.multiplications(pixels(0)));
        [all + weights_of_matrices(&self.trunk), first]
    }

    /// Maps x `[batch, numbers]` to `[batch, features]`. Each number of a condition
    /// `[batch, classes]` becomes a constant input channel.
    pub(super) fn forward(&self, x: Tensor<2>, condition: Option<Tensor<2>>) -> Tensor<2> {
        let [batch, numbers] = x.dims();
        let (h, w) = (self.shape[1], self.shape[2]);
        let mut x = channels_last(x.reshape([batch, numbers / (h * w), h, w]));
        if let Some(condition) = condition {
            let [_, classes] = condition.dims();
            let planes = condition.reshape([batch, 1, 1, classes]).expand([batch, h, w, classes]);
            x = Tensor::cat(vec![x, planes], 3);
        }
        let x = self.stages.iter().fold(x, |x, stage| stage.forward(x));
        self.trunk.forward(channels_first(x).flatten(1, 3))
    }
}

/// The decoder: fully connected layers, then stages that double, then one more convolution.
#[derive(Module, Debug)]
pub struct ConvDecoder {
    trunk: Mlp,
    stages: Vec<ConvStack>,
    output: Conv,
    /// Channels, height and width before the first doubling.
    #[module(skip)]
    smallest: [usize; 3],
}

impl ConvDecoder {
    /// Returns the multiplications for one row.
    pub(super) fn multiplications(&self) -> u64 {
        let [_, height, width] = self.smallest;
        let pixels = |i: usize| (height << i) * (width << i);
        let stages = self.stages.iter().enumerate();
        let all: u64 = stages.map(|(i, stage)| stage.multiplications(pixels(i + 1))).sum();
        let output = self.output.multiplications(pixels(self.stages.len()));
        weights_of_matrices(&self.trunk) + all + output
    }

    /// Maps z `[rows, latent]` to `[rows, outputs * numbers]`.
    pub(super) fn forward(&self, z: Tensor<2>) -> Tensor<2> {
        let [rows, _] = z.dims();
        let [channels, height, width] = self.smallest;
        let x = self.trunk.forward(z).reshape([rows, channels, height, width]);
        let x = self.stages.iter().fold(channels_last(x), |x, stage| stage.forward(x));
        channels_first(self.output.forward(x, None)).flatten(1, 3)
    }
}

/// Maps `[batch, channels, h, w]` to `[batch, h, w, channels]`, the order of convolutions.
fn channels_last(x: Tensor<4>) -> Tensor<4> {
    x.permute([0, 2, 3, 1])
}

/// Maps `[batch, h, w, channels]` to `[batch, channels, h, w]`, the order of data and of weights.
fn channels_first(x: Tensor<4>) -> Tensor<4> {
    x.permute([0, 3, 1, 2])
}
