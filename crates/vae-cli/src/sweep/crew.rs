//! Works through the runs of a plan, some of them at the same time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, anyhow};

use super::plan::{Plan, PlannedRun};
use super::work::{Outcome, Sweep};

impl Sweep {
    /// Trains and evaluates all runs of a plan, `jobs` at the same time, until they are done or `stop` is
    /// set. After each, `report` gets its index and the outcomes so far; `None` is a run that is still to be done.
    ///
    /// # Errors
    /// If a process cannot be started, or if a file cannot be written.
    pub fn finish_all(
        &self,
        plan: &Plan,
        jobs: usize,
        stop: &AtomicBool,
        report: impl Fn(usize, &[Option<Outcome>]) -> Result<()> + Sync,
    ) -> Result<Vec<Option<Outcome>>> {
        let runs: Vec<&PlannedRun> = plan.runs().collect();
        let next = AtomicUsize::new(0);
        let outcomes: Mutex<Vec<Option<Outcome>>> = Mutex::new(vec![None; runs.len()]);
        let work = || -> Result<()> {
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                let Some(run) = runs.get(i).filter(|_| !stop.load(Ordering::Relaxed)) else {
                    return Ok(());
                };
                let halt = || stop.store(true, Ordering::Relaxed);
                // If a disk is full, the other workers need not go on.
                let outcome = self.finish(run, stop).inspect_err(|_| halt())?;
                if outcome == Outcome::Stopped {
                    halt();
                }
                let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
                outcomes[i] = Some(outcome);
                report(i, &outcomes).inspect_err(|_| halt())?;
            }
        };
        std::thread::scope(|scope| {
            let jobs = jobs.min(runs.len());
            let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(|worker| match worker.join() {
                Ok(ended) => ended,
                Err(_) => Err(anyhow!("a worker of the sweep panicked")),
            })
        })?;
        Ok(outcomes.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}
