//! The range of x: graphs read and write x in the range of the data, and transform it inside.

use vae_data::{Pixels, Transform};

use super::graph::{Graph, Value, integer};
use super::proto::DataType;

/// Returns the range of the input x.
pub fn about_input(transform: &Transform) -> &'static str {
    match transform {
        Transform::Pixels(Pixels::Grey | Pixels::Signed) => "pixels, 0 (black) to 1 (white)",
        Transform::Pixels(Pixels::Binary) => {
            "pixels, 0 (black) to 1 (white); from 0.5 on they count as 1, below as 0"
        }
        Transform::Pixels(Pixels::Stochastic) => {
            "pixels, 0 (black) to 1 (white); the model was trained on pixels that are 1 with the \
             probability of their grey level, else 0"
        }
        Transform::Affine { .. } => "numbers in the units of the data",
    }
}

/// Returns the range of the output x.
pub fn about_output(transform: &Transform) -> &'static str {
    match transform {
        Transform::Pixels(_) => "pixels, 0 (black) to 1 (white)",
        Transform::Affine { .. } => "numbers in the units of the data",
    }
}

/// Maps the input x, in the range of the data, to the x of the model, of the same shape.
pub fn to_model(graph: &mut Graph<'_>, transform: &Transform, x: &Value) -> Value {
    match transform {
        // Pixels of 0 and 1 are their own draws.
        Transform::Pixels(Pixels::Grey | Pixels::Stochastic) => x.clone(),
        Transform::Pixels(Pixels::Signed) => {
            let (two, one) = (graph.scalar(2.0), graph.scalar(1.0));
            let x = graph.apply("Mul", &[x, &two]);
            graph.apply("Sub", &[&x, &one])
        }
        Transform::Pixels(Pixels::Binary) => {
            // Of 256 levels, 128 is the first above one half.
            let half = graph.scalar(0.5);
            let white = graph.apply("GreaterOrEqual", &[x, &half]);
            let float = vec![integer("to", i64::from(i32::from(DataType::Float)))];
            graph.apply_with("Cast", &[&white], float)
        }
        Transform::Affine { offset, .. } if offset.is_empty() => x.clone(),
        Transform::Affine { offset, unit } => {
            let (offset, unit) = (graph.floats(offset), graph.floats(unit));
            let x = graph.apply("Sub", &[x, &offset]);
            graph.apply("Div", &[&x, &unit])
        }
    }
}

/// Maps the x of the model to the range of the data, of the same shape.
pub fn to_data(graph: &mut Graph<'_>, transform: &Transform, x: &Value) -> Value {
    match transform {
        Transform::Pixels(Pixels::Signed) => {
            let (one, half) = (graph.scalar(1.0), graph.scalar(0.5));
            let x = graph.apply("Add", &[x, &one]);
            graph.apply("Mul", &[&x, &half])
        }
        Transform::Pixels(Pixels::Grey | Pixels::Binary | Pixels::Stochastic) => x.clone(),
        Transform::Affine { offset, .. } if offset.is_empty() => x.clone(),
        Transform::Affine { offset, unit } => {
            let (offset, unit) = (graph.floats(offset), graph.floats(unit));
            let x = graph.apply("Mul", &[x, &unit]);
            graph.apply("Add", &[&x, &offset])
        }
    }
}
