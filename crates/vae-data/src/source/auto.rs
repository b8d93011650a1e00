//! `auto`: which source is taken when nobody names one. A policy over sources, not a source.

use super::built_in::digits::Digits;
use super::environment::Environment;
use super::published::PublishedSet;
use super::{Location, Source};
use std::time::Duration;

/// The specification that asks for this policy.
pub const AUTO: &str = "auto";

/// How long a mirror may take to answer before `digits` is taken.
const PATIENCE: Duration = Duration::from_secs(5);

/// Chooses `mnist` if it is on this machine or can be downloaded soon, else `digits`. Returns the
/// source and a line for the user that says why.
pub fn choose(
    mnist: &'static PublishedSet,
    environment: &Environment,
) -> (&'static dyn Source, String) {
    let on_this_machine = mnist.location(environment) != Location::Absent;
    match mnist.obtain(environment, Some(PATIENCE)) {
        Ok(_) => {
            let why = if on_this_machine { "found on this machine" } else { "just downloaded" };
            (mnist, format!("{}, {why}", mnist.name))
        }
        Err(why) => {
            let name = mnist.name;
            let note = format!(
                "digits, built in, because {name} is not on this machine and cannot be had: {why}"
            );
            (&Digits, note)
        }
    }
}
