//! `auto`: the automatic choice of a source. It is a policy, not a source.

use super::built_in::digits::Digits;
use super::environment::Environment;
use super::published::PublishedSet;
use super::{Location, Source};
use std::time::Duration;

/// The specification of this policy.
pub const AUTO: &str = "auto";

/// Time limit for the answer of a mirror, after which `digits` is chosen.
const PATIENCE: Duration = Duration::from_secs(5);

/// Chooses `mnist` if it is on this machine or can be downloaded, otherwise `digits`. Returns the
/// source and a line for the user with the reason.
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
                "digits, built in, because {name} is not on this machine and cannot be downloaded: \
                 {why}"
            );
            (&Digits, note)
        }
    }
}
