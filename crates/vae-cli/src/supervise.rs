//! Gives a command up if the device elsewhere that it computes on is lost.
//!
//! Burn waits forever for a server that stands still, and panics where one is gone. So a command runs on
//! a thread of its own; if its device is lost the main thread ends the program, whatever that thread
//! waits for.

use anyhow::Result;

/// Sets what to do if the device is lost from now on, to follow the message and `; `.
#[cfg_attr(not(feature = "remote"), allow(unused_variables))]
pub fn advise(advice: impl Fn() -> String + Send + 'static) {
    #[cfg(feature = "remote")]
    {
        *remote::advice() = Some(Box::new(advice));
    }
}

/// Returns whether the message of a failed command says that its device was lost, or not reached.
#[cfg_attr(not(feature = "remote"), allow(unused_variables))]
pub fn tells_of_loss(message: &str) -> bool {
    #[cfg(feature = "remote")]
    return vae_train::remote::tells_of_loss(message);
    #[cfg(not(feature = "remote"))]
    false
}

/// Runs a command.
///
/// # Errors
/// Those of the command, and if its device is lost.
pub fn run(command: impl FnOnce() -> Result<()> + Send + 'static) -> Result<()> {
    #[cfg(feature = "remote")]
    return remote::run(command);
    #[cfg(not(feature = "remote"))]
    command()
}

#[cfg(feature = "remote")]
mod remote {
    use std::any::Any;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::sync::mpsc::channel;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use anyhow::{Error, Result, anyhow};
    use vae_train::remote::{Loss, leave, loss, on_loss};

    /// The stack of the command's thread: as large as that of a main thread.
    const STACK: usize = 8 << 20;

    /// Makes the advice on what to do after a loss.
    type Advice = Box<dyn Fn() -> String + Send>;

    pub fn advice() -> MutexGuard<'static, Option<Advice>> {
        static ADVICE: Mutex<Option<Advice>> = Mutex::new(None);
        ADVICE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How a command ended.
    enum End {
        Done(Result<Result<()>, Box<dyn Any + Send>>),
        Lost(Loss),
    }

    pub fn run(command: impl FnOnce() -> Result<()> + Send + 'static) -> Result<()> {
        let (sender, end) = channel();
        let lost = sender.clone();
        on_loss(move |loss| {
            let _ = lost.send(End::Lost(loss.clone()));
        });
        // A panic that follows from a loss is told as the loss.
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if loss().is_none() {
                tell(panic);
            }
        }));
        std::thread::Builder::new().name("command".to_owned()).stack_size(STACK).spawn(
            move || {
                let _ = sender.send(End::Done(catch_unwind(AssertUnwindSafe(command))));
            },
        )?;
        let ended = match end.recv()? {
            End::Done(Ok(Ok(()))) => Ok(()),
            End::Done(Ok(Err(error))) => Err(loss().map_or(error, |loss| with_advice(&loss))),
            End::Done(Err(panic)) => match loss() {
                Some(loss) => Err(with_advice(&loss)),
                None => {
                    leave();
                    resume_unwind(panic)
                }
            },
            End::Lost(loss) => Err(with_advice(&loss)),
        };
        leave();
        ended
    }

    fn with_advice(loss: &Loss) -> Error {
        match &*advice() {
            Some(advice) => anyhow!("{loss}; {}", advice()),
            None => anyhow!("{loss}; run the command again when its server is back"),
        }
    }
}
