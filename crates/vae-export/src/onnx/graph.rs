//! `Graph`: a graph of operations that grows operation by operation.

use std::collections::BTreeMap;

use vae_model::init::Stored;

use super::proto::{
    AttributeProto, AttributeType, DataType, Dimension, DimensionValue, GraphProto, NodeProto,
    TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};

/// The name of the dimension whose size is chosen when the model runs.
const BATCH: &str = "n";

/// A tensor of a graph: its name there.
#[derive(Clone, Debug)]
pub struct Value(String);

impl Value {
    /// Returns the place of an optional input that is not given.
    pub fn absent() -> Self {
        Self(String::new())
    }
}

/// A graph, and the parameters of the model that it reads.
pub struct Graph<'a> {
    parameters: &'a BTreeMap<String, Stored>,
    proto: GraphProto,
}

impl<'a> Graph<'a> {
    /// Makes an empty graph for a model with these parameters.
    pub fn new(name: &str, parameters: &'a BTreeMap<String, Stored>) -> Self {
        let proto = GraphProto { name: Some(name.to_owned()), ..GraphProto::default() };
        Self { parameters, proto }
    }

    /// Adds an input `[n, shape...]` of floats.
    pub fn input(&mut self, name: &str, shape: &[usize], about: &str) -> Value {
        self.proto.input.push(info(name, DataType::Float, shape, about));
        Value(name.to_owned())
    }

    /// Adds an output `[n, shape...]` of floats.
    pub fn output(&mut self, value: &Value, name: &str, shape: &[usize], about: &str) {
        self.output_of(DataType::Float, value, name, shape, about);
    }

    /// Adds an output `[n, shape...]` of 64-bit integers.
    pub fn integer_output(&mut self, value: &Value, name: &str, shape: &[usize], about: &str) {
        self.output_of(DataType::Int64, value, name, shape, about);
    }

    fn output_of(
        &mut self,
        numbers: DataType,
        value: &Value,
        name: &str,
        shape: &[usize],
        about: &str,
    ) {
        self.proto.output.push(info(name, numbers, shape, about));
        // Values are named after their operations. Runtimes remove this one.
        self.push("Identity", &[value], Vec::new(), name.to_owned());
    }

    /// Adds an operation without attributes. Returns its result.
    pub fn apply(&mut self, operation: &str, inputs: &[&Value]) -> Value {
        self.apply_with(operation, inputs, Vec::new())
    }

    /// Adds an operation. Returns its result.
    pub fn apply_with(
        &mut self,
        operation: &str,
        inputs: &[&Value],
        attributes: Vec<AttributeProto>,
    ) -> Value {
        let result = format!("{operation}_{}", self.proto.node.len());
        self.push(operation, inputs, attributes, result)
    }

    fn push(
        &mut self,
        operation: &str,
        inputs: &[&Value],
        attribute: Vec<AttributeProto>,
        result: String,
    ) -> Value {
        self.proto.node.push(NodeProto {
            input: inputs.iter().map(|value| value.0.clone()).collect(),
            output: vec![result.clone()],
            name: Some(format!("node {result}")),
            op_type: Some(operation.to_owned()),
            attribute,
        });
        Value(result)
    }

    /// Returns a parameter of the model by its path.
    pub fn stored(&self, path: &str) -> &'a Stored {
        match self.parameters.get(path) {
            Some(stored) => stored,
            None => unreachable!("a model has the parameters of its configuration, and no {path}"),
        }
    }

    /// Adds a parameter of the model under its path.
    pub fn parameter(&mut self, path: &str) -> Value {
        let Stored { shape, values } = self.stored(path);
        self.tensor(path, shape, values)
    }

    /// Adds constant floats of shape `shape` under a name of their own.
    pub fn tensor(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Value {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.initializer(name.to_owned(), DataType::Float, shape, bytes)
    }

    /// Adds a constant float without dimensions.
    pub fn scalar(&mut self, value: f64) -> Value {
        self.tensor(&self.unnamed(), &[], &[value as f32])
    }

    /// Adds a constant vector of floats.
    pub fn floats(&mut self, values: &[f32]) -> Value {
        self.tensor(&self.unnamed(), &[values.len()], values)
    }

    /// Adds a constant vector of integers, such as a shape.
    pub fn integers(&mut self, values: &[i64]) -> Value {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.initializer(self.unnamed(), DataType::Int64, &[values.len()], bytes)
    }

    fn unnamed(&self) -> String {
        format!("constant_{}", self.proto.initializer.len())
    }

    fn initializer(
        &mut self,
        name: String,
        numbers: DataType,
        shape: &[usize],
        bytes: Vec<u8>,
    ) -> Value {
        self.proto.initializer.push(TensorProto {
            dims: shape.iter().map(|d| *d as i64).collect(),
            data_type: Some(numbers.into()),
            name: Some(name.clone()),
            raw_data: Some(bytes),
        });
        Value(name)
    }

    /// Reshapes `x` to `[n, shape...]`.
    pub fn reshape(&mut self, x: &Value, shape: &[usize]) -> Value {
        // 0 keeps the size of the input's dimension.
        let shape: Vec<i64> = std::iter::once(0).chain(shape.iter().map(|d| *d as i64)).collect();
        let shape = self.integers(&shape);
        self.apply("Reshape", &[x, &shape])
    }

    /// Returns rows `[rows, width]` of x `[n, rows / n * width]`, or the other way round.
    pub fn regroup(&mut self, x: &Value, width: usize) -> Value {
        let shape = self.integers(&[-1, width as i64]);
        self.apply("Reshape", &[x, &shape])
    }

    /// Flattens `x` to `[n, numbers]`.
    pub fn flatten(&mut self, x: &Value) -> Value {
        self.apply_with("Flatten", &[x], vec![integer("axis", 1)])
    }

    /// Concatenates `a` and `b` in dimension 1.
    pub fn concat(&mut self, a: &Value, b: &Value) -> Value {
        self.apply_with("Concat", &[a, b], vec![integer("axis", 1)])
    }

    /// Returns the finished graph.
    pub fn finish(self) -> GraphProto {
        self.proto
    }
}

/// Returns an attribute that is an integer.
pub fn integer(name: &str, value: i64) -> AttributeProto {
    AttributeProto { i: Some(value), ..attribute(name, AttributeType::Int) }
}

/// Returns an attribute that is a list of integers.
pub fn list(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { ints: values.to_vec(), ..attribute(name, AttributeType::Ints) }
}

/// Returns an attribute that is a float.
pub fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { f: Some(value), ..attribute(name, AttributeType::Float) }
}

/// Returns an attribute that is a text.
pub fn text(name: &str, value: &str) -> AttributeProto {
    let value = value.as_bytes().to_vec();
    AttributeProto { s: Some(value), ..attribute(name, AttributeType::String) }
}

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(kind.into()),
        ..AttributeProto::default()
    }
}

fn info(name: &str, numbers: DataType, shape: &[usize], about: &str) -> ValueInfoProto {
    let batch = DimensionValue::DimParam(BATCH.to_owned());
    let sizes = shape.iter().map(|d| DimensionValue::DimValue(*d as i64));
    let dim = std::iter::once(batch).chain(sizes).map(|value| Dimension { value: Some(value) });
    let shape = Some(TensorShapeProto { dim: dim.collect() });
    let tensor_type = Some(TensorTypeProto { elem_type: Some(numbers.into()), shape });
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto { tensor_type }),
        doc_string: Some(about.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message;
    use vae_model::network::{Activation, ConvConfig};

    use super::*;
    use crate::onnx::conv;

    /// Checks that every value has a name of its own, and is there before it is read.
    fn check(graph: &GraphProto) {
        let names = |values: &[ValueInfoProto]| -> Vec<String> {
            values.iter().map(|value| value.name.clone().unwrap()).collect()
        };
        let mut known = BTreeSet::from([String::new()]);
        let constants = graph.initializer.iter().map(|tensor| tensor.name.clone().unwrap());
        for name in names(&graph.input).into_iter().chain(constants) {
            assert!(known.insert(name.clone()), "{name} is there twice");
        }
        for node in &graph.node {
            assert!(node.input.iter().all(|name| known.contains(name)), "{node:?}");
            assert!(node.output.iter().all(|name| known.insert(name.clone())), "{node:?}");
        }
        assert!(names(&graph.output).iter().all(|name| known.contains(name)));
    }

    #[test]
    fn a_graph_reads_only_what_is_there() {
        let mut parameters = BTreeMap::new();
        let mut add = |path: &str, shape: &[usize]| {
            let values = vec![0.5; shape.iter().product()];
            parameters.insert(path.to_owned(), Stored { shape: shape.to_vec(), values });
        };
        for (layer, before) in [("first", 3), ("blocks.0.0", 4), ("blocks.0.1", 4)] {
            add(&format!("encoder.stages.0.{layer}.conv.weight"), &[4, before, 3, 3]);
            for name in ["conv.bias", "norm.scale", "norm.shift"] {
                add(&format!("encoder.stages.0.{layer}.{name}"), &[4]);
            }
        }
        let config = ConvConfig {
            channels: vec![4],
            hidden: vec![],
            residual: 1,
            groups: 2,
            activation: Activation::Silu,
            head_depth: 1,
        };
        let mut graph = Graph::new("g", &parameters);
        let x = graph.input("x", &[1, 6, 10], "x");
        let label = graph.input("label", &[2], "label");
        let y = conv::encoder(&mut graph, &config, &[1, 6, 10], &x, Some((&label, 2)));
        graph.output(&y, "y", &[60], "y");
        let graph = graph.finish();
        check(&graph);
        let of = |kind: &str| {
            graph.node.iter().filter(|node| node.op_type.as_deref() == Some(kind)).count()
        };
        assert_eq!([of("Conv"), of("InstanceNormalization"), of("Sigmoid")], [3; 3]);
        // Each parameter is read once.
        for path in parameters.keys() {
            let readers = graph.node.iter().filter(|node| node.input.contains(path));
            assert_eq!(readers.count(), 1, "{path}");
        }
    }

    #[test]
    fn the_bytes_of_an_input_are_those_of_the_schema() {
        let parameters = BTreeMap::new();
        let mut graph = Graph::new("g", &parameters);
        graph.input("x", &[2], "d");
        let expected = b"\x0a\x01x\
            \x12\x0f\x0a\x0d\x08\x01\x12\x09\
            \x0a\x03\x12\x01n\
            \x0a\x02\x08\x02\
            \x1a\x01d";
        assert_eq!(graph.finish().input[0].encode_to_vec(), expected);
    }
}
