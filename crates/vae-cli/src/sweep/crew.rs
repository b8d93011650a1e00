//! Works through the runs of a plan, one at a time on each device.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::plan::{Plan, PlannedRun};
use super::seat::Seat;
use super::work::{Outcome, Sweep};
use crate::output::printer::Printer;

/// Time between two looks for a device that was lost, or for a run that another could not finish.
const PAUSE: Duration = Duration::from_secs(2);
/// How long a device may be away.
const AWAY: Duration = Duration::from_secs(600);

/// How often the device of a run may be lost.
const MOST_LOSSES: usize = 10;

/// What becomes of the runs of a plan.
pub enum News<'a> {
    /// The run of this index ended, and these are the outcomes so far; `None` is a run that is still to be
    /// done.
    Ended(usize, &'a [Option<Outcome>]),
    /// A device was lost, and its run is to be done by another or later. It says why.
    Lost(&'a Seat, &'a str),
    /// A device that was lost is back.
    Back(&'a Seat),
}

impl News<'_> {
    /// Tells of a device.
    pub fn tell(&self, printer: &Printer) {
        match self {
            Self::Lost(seat, why) => printer.warn(&format!("{} was lost: {why}", seat.name)),
            Self::Back(seat) => printer.say(&format!("{} is back", seat.name)),
            Self::Ended(..) => {}
        }
    }
}

/// The runs that are still to be done, and how the others ended.
struct Board {
    waiting: VecDeque<usize>,
    /// How often the device of each run was lost.
    losses: Vec<usize>,
    outcomes: Vec<Option<Outcome>>,
}

impl Board {
    fn is_done(&self) -> bool {
        self.outcomes.iter().all(Option::is_some)
    }

    /// Takes a run back whose device was lost. If it takes one device after the other with it, it has failed.
    /// Returns whether it has.
    fn take_back(&mut self, i: usize, why: &str) -> bool {
        self.losses[i] += 1;
        let failed = self.losses[i] == MOST_LOSSES;
        if failed {
            self.outcomes[i] = Some(Outcome::Failed(format!("lost {MOST_LOSSES} times: {why}")));
        } else {
            self.waiting.push_front(i);
        }
        failed
    }
}

/// Stops the other workers if one panics: its run would never end.
struct HaltsOnPanic<'a>(&'a AtomicBool);

impl Drop for HaltsOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

impl Sweep {
    /// Trains and evaluates all runs of a plan, one at a time on each of `seats`, until they are done or
    /// `stop` is set. A run whose device is lost goes on on the next that is free. `report` gets the news.
    ///
    /// # Errors
    /// If a process cannot be started, or if a file cannot be written.
    pub fn finish_all(
        &self,
        plan: &Plan,
        seats: &[Seat],
        stop: &AtomicBool,
        report: impl Fn(News<'_>) -> Result<()> + Sync,
    ) -> Result<Vec<Option<Outcome>>> {
        let runs: Vec<&PlannedRun> = plan.runs().collect();
        let board = Mutex::new(Board {
            waiting: (0..runs.len()).collect(),
            losses: vec![0; runs.len()],
            outcomes: vec![None; runs.len()],
        });
        let board =
            || -> MutexGuard<'_, Board> { board.lock().unwrap_or_else(PoisonError::into_inner) };
        let halt = || stop.store(true, Ordering::Relaxed);
        let over = || stop.load(Ordering::Relaxed) || board().is_done();
        let work = |seat: &Seat| -> Result<()> {
            let _halts = HaltsOnPanic(stop);
            while !over() {
                let next = board().waiting.pop_front();
                let Some(i) = next else {
                    // A run of another device may come back.
                    std::thread::sleep(PAUSE / 20);
                    continue;
                };
                // If a disk is full, the other workers need not go on.
                let mut outcome = self.finish(runs[i], seat, stop).inspect_err(|_| halt())?;
                // A device that refuses by now, as with another token, is to blame and not the run.
                if let Outcome::Failed(why) = &outcome
                    && self.answers(seat, stop).inspect_err(|_| halt())?.is_err()
                {
                    outcome = Outcome::Lost(why.clone());
                }
                if let Outcome::Lost(why) = outcome {
                    report(News::Lost(seat, &why)).inspect_err(|_| halt())?;
                    let mut board = board();
                    if board.take_back(i, &why) {
                        report(News::Ended(i, &board.outcomes)).inspect_err(|_| halt())?;
                    }
                    drop(board);
                    let since = Instant::now();
                    while self.answers(seat, stop).inspect_err(|_| halt())?.is_err() {
                        if since.elapsed() > AWAY || over() {
                            return Ok(());
                        }
                        std::thread::sleep(PAUSE);
                    }
                    report(News::Back(seat)).inspect_err(|_| halt())?;
                    continue;
                }
                if outcome == Outcome::Stopped {
                    halt();
                }
                let mut board = board();
                board.outcomes[i] = Some(outcome);
                report(News::Ended(i, &board.outcomes)).inspect_err(|_| halt())?;
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            // One that is not needed at first may be needed when another is lost.
            let may_lose = seats.iter().any(|seat| seat.is_elsewhere);
            let needed = if may_lose { seats.len() } else { runs.len() };
            let seats = seats.iter().take(needed);
            let workers: Vec<_> = seats.map(|seat| scope.spawn(|| work(seat))).collect();
            workers.into_iter().try_for_each(|worker| match worker.join() {
                Ok(ended) => ended,
                Err(_) => Err(anyhow!("a worker of the sweep panicked")),
            })
        })?;
        let outcomes = std::mem::take(&mut board().outcomes);
        Ok(outcomes)
    }
}
