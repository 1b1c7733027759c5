//! The process in the middle of a shaped link: it reads whole frames from one TAP device, treats them as the
//! shape says, and writes them to the other, in both directions.
//!
//! It lives in the lab's own network namespace, between two bridges that each hold one end of the link, and
//! only while the link is shaped. The shape is a file that it looks at every 20 ms; a file beside it tells
//! which one it obeys, so that a command can return when the new shape holds and no frame is lost in between.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::host;
use crate::shape::{Dice, Line, Shape};
use crate::state;

/// The content of a relay's shape file.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Grows with each new order.
    pub number: u64,
    /// The shape to obey.
    pub shape: Shape,
}

/// Where a relay tells which order it obeys.
pub fn answer_path(order: &Path) -> PathBuf {
    order.with_extension("obeyed")
}

/// The largest frame: a full packet with its Ethernet header, and some room.
const FRAME_BYTES: usize = 2_048;

struct Direction {
    line: Mutex<Line>,
    changed: Condvar,
}

/// Creates both TAP devices, says `ready` on stdout and relays until killed.
///
/// # Errors
/// A device or the order file cannot be opened.
pub fn run(order: &Path, near: &str, far: &str) -> Result<()> {
    let tap =
        |name: &str| e2e_ioctl::open_tap(name).with_context(|| format!("cannot make the device {name}"));
    let (near, far) = (Arc::new(tap(near)?), Arc::new(tap(far)?));
    let start = host::now();
    let first: Order = state::load(order)?.with_context(|| format!("no order in {}", order.display()))?;
    let seed = u64::from(std::process::id());
    let direction = |salt: u64| {
        let line = Line::new(first.shape, Dice::new((seed << 8 | salt).wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        Arc::new(Direction { line: Mutex::new(line), changed: Condvar::new() })
    };
    let (up, down) = (direction(1), direction(2));
    for (line, from, to) in [(&up, &near, &far), (&down, &far, &near)] {
        let (take, give) = (Arc::clone(line), Arc::clone(line));
        let (from, to) = (Arc::clone(from), Arc::clone(to));
        std::thread::Builder::new().name("take".into()).spawn(move || take_frames(&take, &from, start))?;
        std::thread::Builder::new().name("give".into()).spawn(move || give_frames(&give, &to, start))?;
    }
    state::save(&answer_path(order), &first.number)?;
    writeln!(std::io::stdout(), "ready")?;
    obey(order, first.number, &[up, down])
}

/// Looks for new orders forever.
fn obey(path: &Path, mut obeyed: u64, directions: &[Arc<Direction>]) -> Result<()> {
    loop {
        std::thread::sleep(Duration::from_millis(20));
        let Some(order) = state::load::<Order>(path)? else { return Ok(()) };
        if order.number != obeyed {
            for direction in directions {
                direction.line.lock().unwrap_or_else(PoisonError::into_inner).set_shape(order.shape);
            }
            obeyed = order.number;
            state::save(&answer_path(path), &obeyed)?;
        }
    }
}

fn take_frames(direction: &Direction, mut from: &File, start: Instant) {
    let mut buffer = vec![0; FRAME_BYTES];
    loop {
        // A device that is down for the moment gives an error; it comes back.
        let Ok(length) = from.read(&mut buffer) else {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        let mut line = direction.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.submit(host::now() - start, buffer[..length].to_vec());
        direction.changed.notify_one();
    }
}

fn give_frames(direction: &Direction, mut to: &File, start: Instant) {
    let mut line = direction.line.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let now = host::now() - start;
        let frames = line.due(now);
        if !frames.is_empty() {
            drop(line);
            for frame in frames {
                // A device that is down drops frames, as a cable that is out does.
                let _ = to.write(&frame);
            }
            line = direction.line.lock().unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        let wait = line.next_due().map_or(Duration::from_secs(1), |due| due.saturating_sub(now));
        line = direction.changed.wait_timeout(line, wait).unwrap_or_else(PoisonError::into_inner).0;
    }
}
