//! `Team`: threads that share the work of training steps and of estimates.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, RecvError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use burn::tensor::Device;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use vae_model::is_on_host;

use crate::error::EvalError;

/// Threads that share a piece of work, such as a step of training. Operations of a member use its
/// thread alone: members share the cores, and operations with more threads would compete for them.
///
/// A team of one has no threads of its own. It works on the caller's, and its operations may use
/// all cores.
pub struct Team {
    /// The thread of the first member, which [`Self::enter`] runs on. `None` in a team of one.
    first: Option<ThreadPool>,
    others: Vec<Sender<Task>>,
}

/// What another member runs.
type Task = Box<dyn FnOnce() + Send>;

/// Work that one member does.
pub struct Job<T> {
    /// How much work it is, compared with others.
    pub size: usize,
    /// The work.
    pub run: Box<dyn FnOnce() -> T + Send>,
}

impl Team {
    /// Makes a team of `size` members, at least one.
    ///
    /// # Errors
    /// If the system cannot start a thread.
    pub fn new(size: usize) -> Result<Self, EvalError> {
        if size <= 1 {
            return Ok(Self { first: None, others: Vec::new() });
        }
        let other = |i| {
            let (sender, tasks) = channel::<Task>();
            // The pool's only thread is occupied until the team is dropped. What it runs knows that
            // it has one thread.
            pool(i)?.spawn(move || {
                while let Ok(task) = receive(&tasks) {
                    task();
                }
            });
            Ok::<_, EvalError>(sender)
        };
        Ok(Self { first: Some(pool(0)?), others: (1..size).map(other).collect::<Result<_, _>>()? })
    }

    /// Makes a team for work on `device`: a member for each core on the backend `flex`, otherwise
    /// one.
    ///
    /// # Errors
    /// If the system cannot start a thread.
    pub fn for_device(device: &Device) -> Result<Self, EvalError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::new(if is_on_host(device) { cores } else { 1 })
    }

    /// Returns the number of members.
    pub fn size(&self) -> usize {
        self.others.len() + 1
    }

    /// Runs `work` as the first member.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.first {
            Some(first) => first.install(work),
            None => work(),
        }
    }

    /// Runs `work(i)` on the i-th of the first `count` members in parallel, and returns the results
    /// in order. A panic is propagated.
    ///
    /// Only the first member may share out work again.
    ///
    /// # Panics
    /// If there are fewer members.
    pub fn on_each<T: Send + 'static>(
        &self,
        count: usize,
        work: impl Fn(usize) -> T + Send + Sync + 'static,
    ) -> Vec<T> {
        assert!(count <= self.size(), "{count} of {} members", self.size());
        if count == 0 {
            return Vec::new();
        }
        let work = Arc::new(work);
        let others: Vec<_> = (1..count)
            .map(|i| {
                let (sender, result) = channel();
                let work = Arc::clone(&work);
                let task = move || {
                    let done = catch_unwind(AssertUnwindSafe(|| work(i)));
                    // The receiver is gone only after a panic of another member.
                    let _ = sender.send(done);
                };
                if self.others[i - 1].send(Box::new(task)).is_err() {
                    unreachable!("members end with the team");
                }
                result
            })
            .collect();
        let mut results = vec![self.enter(|| work(0))];
        for result in others {
            let done: Result<T, Box<dyn Any + Send>> = match receive(&result) {
                Ok(done) => done,
                Err(RecvError) => unreachable!("a member always sends a result"),
            };
            results.push(done.unwrap_or_else(|panic| resume_unwind(panic)));
        }
        results
    }

    /// Does all jobs, and returns the results in the order of the jobs. Each member gets about the
    /// same amount of work.
    pub fn all<T: Send + 'static>(&self, jobs: Vec<Job<T>>) -> Vec<T> {
        if self.first.is_none() {
            return jobs.into_par_iter().map(|job| (job.run)()).collect();
        }
        // The largest jobs first, each to the member with the least work.
        let count = jobs.len();
        let mut jobs: Vec<(usize, Job<T>)> = jobs.into_iter().enumerate().collect();
        jobs.sort_by_key(|(_, job)| std::cmp::Reverse(job.size));
        let mut sizes = vec![0; self.size()];
        let mut shares: Vec<Vec<(usize, Job<T>)>> = sizes.iter().map(|_| Vec::new()).collect();
        for (i, job) in jobs {
            if let Some((member, size)) = sizes.iter_mut().enumerate().min_by_key(|(_, s)| **s) {
                *size += job.size;
                shares[member].push((i, job));
            }
        }
        let shares: Vec<_> = shares.into_iter().map(Mutex::new).collect();
        let done = self.on_each(self.size(), move |i| {
            let mut share = shares[i].lock().unwrap_or_else(PoisonError::into_inner);
            share.drain(..).map(|(i, job)| (i, (job.run)())).collect::<Vec<_>>()
        });
        let mut results: Vec<Option<T>> = (0..count).map(|_| None).collect();
        for (i, result) in done.into_iter().flatten() {
            results[i] = Some(result);
        }
        results.into_iter().flatten().collect()
    }
}

/// Returns a pool of one thread, for the member `i`.
fn pool(i: usize) -> Result<ThreadPool, EvalError> {
    let name = move |_| format!("member {i}");
    let pool = ThreadPoolBuilder::new().num_threads(1).thread_name(name).build();
    pool.map_err(|e| EvalError::Failed(format!("cannot start a thread: {e}")))
}

/// How long a member stays awake without work. The system takes up to a tenth of a millisecond to
/// wake a thread, several times in a step that may take no longer than one.
const AWAKE: Duration = Duration::from_micros(300);

/// Returns the next message. It stays awake for a while.
fn receive<T>(from: &Receiver<T>) -> Result<T, RecvError> {
    let start = Instant::now();
    while start.elapsed() < AWAKE {
        for _ in 0..50 {
            if let Ok(message) = from.try_recv() {
                return Ok(message);
            }
            std::hint::spin_loop();
        }
        std::thread::yield_now();
    }
    from.recv()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order_whoever_does_the_work() {
        for size in 1..5usize {
            let team = Team::new(size).unwrap();
            assert_eq!(team.size(), size);
            for count in 0..=size {
                assert_eq!(
                    team.on_each(count, |i| i * i),
                    (0..count).map(|i| i * i).collect::<Vec<_>>()
                );
            }
            let job = |i: usize| Job { size: i * 7 % 5, run: Box::new(move || i) };
            assert_eq!(team.all((0..20).map(job).collect()), (0..20).collect::<Vec<_>>());
            assert_eq!(team.enter(|| team.on_each(size, |i| i)), (0..size).collect::<Vec<_>>());
        }
    }

    #[test]
    fn members_share_the_work_by_its_size() {
        let team = Team::new(2).unwrap();
        let name = || std::thread::current().name().map(str::to_owned);
        let job = |size| Job { size, run: Box::new(name) };
        // 5 against 3 + 1 + 1.
        let names = team.all([3, 5, 1, 1].map(job).into());
        assert_eq!((names[0] == names[2], names[2] == names[3]), (true, true));
        assert_ne!(names[0], names[1]);
    }

    #[test]
    fn operations_of_a_member_have_one_thread() {
        let team = Team::new(3).unwrap();
        assert_eq!(team.on_each(3, |_| rayon::current_num_threads()), [1; 3]);
        assert_eq!(team.enter(rayon::current_num_threads), 1);
    }

    #[test]
    fn a_panic_of_a_member_reaches_the_caller() {
        let team = Team::new(2).unwrap();
        for fails in [0, 1] {
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                team.on_each(2, move |i| assert_ne!(i, fails, "it fails"));
            }));
            let message = caught.unwrap_err().downcast::<String>().unwrap();
            assert!(message.contains("it fails"), "{message}");
            assert_eq!(team.on_each(2, |i| i), [0, 1]);
        }
    }
}
