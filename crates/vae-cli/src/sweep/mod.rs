//! Sweeps: a grid of settings, each trained with several seeds. The protocols of papers are sweeps too.
//!
//! ```text
//! plan     the file of a sweep, and the runs that it asks for
//! check    can what is asked for be measured of every run?
//! work     trains and evaluates one run, in processes of their own
//! seat     a device on which runs are trained
//! crew     works through all runs, one at a time on each device
//! results  the table: mean and standard error over the seeds of each cell
//! ```

mod check;
pub mod crew;
pub mod plan;
pub mod results;
pub mod seat;
pub mod work;
