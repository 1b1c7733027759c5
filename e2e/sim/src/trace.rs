//! What happened, as lines: hashed always, printed where somebody replays a seed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// Collects lines. Clones are one and the same.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    began: Instant,
    hash: u64,
    lines: u64,
    print: bool,
}

impl Trace {
    pub(crate) fn new(print: bool) -> Self {
        let inner = Inner { began: Instant::now(), hash: 0xcbf2_9ce4_8422_2325, lines: 0, print };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line.
    pub(crate) fn say(&self, who: &str, what: std::fmt::Arguments<'_>) {
        let mut inner = self.lock();
        let line = format!("{:>9.3} {who:<8} {what}", inner.began.elapsed().as_secs_f64());
        for byte in line.bytes() {
            inner.hash = (inner.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        inner.lines += 1;
        if inner.print {
            #[expect(clippy::print_stdout, reason = "whoever replays a seed reads it")]
            {
                println!("{line}");
            }
        }
    }

    /// Hash of all lines (FNV-1a), and their number.
    pub(crate) fn digest(&self) -> (u64, u64) {
        let inner = self.lock();
        (inner.hash, inner.lines)
    }
}

/// Adds a line to a trace, formatted.
macro_rules! say {
    ($trace:expr, $who:expr, $($what:tt)*) => { $trace.say($who, format_args!($($what)*)) };
}
pub(crate) use say;
