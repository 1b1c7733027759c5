//! The terminal that a session is handed, and its return: after the session's end, a signal, or a panic.

use std::io::{IsTerminal, stdin, stdout};
use std::sync::Mutex;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// How the terminal was before it was handed over, until it is given back. Of the whole process, for a panic has nothing else.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// The terminal passes on every key as it is; dropped, it is again as it was.
#[derive(Debug)]
pub(super) struct Raw(());

impl Raw {
    /// Hands the terminal at standard input over.
    ///
    /// # Errors
    /// It is none, or the kernel refuses.
    pub(super) fn enter() -> rustix::io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        if let Ok(mut place) = BEFORE.lock() {
            *place = Some(before);
        }
        // Where a panic ends the process nothing is dropped.
        let said = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            said(panic);
        }));
        let entered = Self(());
        tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        Ok(entered)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    // Never waits: a panic may have come while it was held.
    if let Ok(mut place) = BEFORE.try_lock()
        && let Some(before) = place.take()
    {
        // Nobody is left to be told that the terminal has gone.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
    }
}

/// Whether standard input is a terminal.
pub(super) fn is_there() -> bool {
    stdin().is_terminal()
}

/// Its columns and rows, as standard output shows them.
pub(super) fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(stdout()).ok()?;
    Some((size.ws_col, size.ws_row))
}
