//! Sweeps: a grid of settings, each trained with several seeds. The protocols of papers are sweeps too.
//!
//! ```text
//! plan     the file of a sweep, and the runs that it asks for
//! work     trains and evaluates one run, in processes of their own
//! crew     works through all runs, some at the same time
//! results  the table: mean and standard error over the seeds of each cell
//! ```

mod crew;
pub mod plan;
pub mod results;
pub mod work;
