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
