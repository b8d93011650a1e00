//! The protobuf messages of TensorBoard, with the fields that are written here. Their numbers are
//! those of `event.proto` and `summary.proto` of TensorFlow.

/// One record of an event file.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    pub wall_time: f64,
    /// Number of finished steps.
    #[prost(int64, tag = "2")]
    pub step: i64,
    /// The content.
    #[prost(oneof = "What", tags = "3, 5, 7")]
    pub what: Option<What>,
}

/// The content of an event.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum What {
    /// The version of the format, in the first event of a file.
    #[prost(string, tag = "3")]
    FileVersion(String),
    /// Values.
    #[prost(message, tag = "5")]
    Summary(Summary),
    /// A start of the program.
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

/// Values at one step.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Summary {
    /// The values.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<Value>,
}

/// A value with its name.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Value {
    /// The name.
    #[prost(string, tag = "1")]
    pub tag: String,
    /// The content.
    #[prost(oneof = "Content", tags = "2, 4, 5")]
    pub content: Option<Content>,
}

/// The content of a value.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Content {
    /// A number.
    #[prost(float, tag = "2")]
    Scalar(f32),
    /// A picture.
    #[prost(message, tag = "4")]
    Image(Image),
    /// A histogram.
    #[prost(message, tag = "5")]
    Histogram(Histogram),
}

/// A picture.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Image {
    /// Height in pixels.
    #[prost(int32, tag = "1")]
    pub height: i32,
    /// Width in pixels.
    #[prost(int32, tag = "2")]
    pub width: i32,
    /// Number of channels; 3 is red, green and blue.
    #[prost(int32, tag = "3")]
    pub channels: i32,
    /// The content of a PNG file.
    #[prost(bytes = "vec", tag = "4")]
    pub png: Vec<u8>,
}

/// A histogram.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Histogram {
    /// The smallest value.
    #[prost(double, tag = "1")]
    pub min: f64,
    /// The largest value.
    #[prost(double, tag = "2")]
    pub max: f64,
    /// Number of values.
    #[prost(double, tag = "3")]
    pub count: f64,
    /// Sum of the values.
    #[prost(double, tag = "4")]
    pub sum: f64,
    /// Sum of the squares of the values.
    #[prost(double, tag = "5")]
    pub sum_of_squares: f64,
    /// The upper end of each bin.
    #[prost(double, repeated, tag = "6")]
    pub ends: Vec<f64>,
    /// Number of values in each bin.
    #[prost(double, repeated, tag = "7")]
    pub counts: Vec<f64>,
}

/// A start of the program. TensorBoard then drops events of this step and later steps from older
/// files.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SessionLog {
    /// [`START`].
    #[prost(int32, tag = "1")]
    pub status: i32,
}

/// The status of a session that starts.
pub const START: i32 = 1;
