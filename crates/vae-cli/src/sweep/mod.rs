//! Sweeps: a grid of settings, each trained with several seeds.
//!
//! ```text
//! plan     the file of a sweep, and the runs that it asks for
//! work     trains and evaluates one run, in processes of their own
//! results  the table: mean and standard error over the seeds of each cell
//! ```

pub mod plan;
pub mod results;
pub mod work;
