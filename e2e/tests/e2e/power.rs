//! Two hundred power cuts under a store that is being written to.
//!
//! The store lies on a disk of its own as `hack/lab` makes them. At a random instant the file system stops where it is,
//! the disk is copied as it lies, and the next life goes on from the copy. Whatever was acknowledged before, through a
//! pipe that leads off the disk, must be there.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use skerry_e2e::proc::Process;
use skerry_e2e::storeload::{Line, Numbers, SLOTS, Seen, Thing};
use skerry_e2e::{disk, host};

const CUTS: usize = 200;
/// Cuts after which an empty disk takes the place of the worn one, so that first starts are cut too.
const CUTS_PER_DISK: usize = 20;
const DISK_MIB: u32 = 48;
/// The longest time a load runs before the cut.
const LIFE: Duration = Duration::from_millis(300);
/// The longest time until a cut that is to hit the start.
const START: Duration = Duration::from_millis(60);

#[test]
fn two_hundred_power_cuts_lose_nothing_that_was_acknowledged() {
    let mut acknowledged = 0;
    let mut told = 0;
    for first in (0..CUTS).step_by(CUTS_PER_DISK) {
        let machine = Machine::new().unwrap();
        let mut known = Known::default();
        for cut in first..first + CUTS_PER_DISK {
            let lines = machine.live_and_lose_power(cut % 4 == 3).unwrap();
            told += usize::from(!lines.is_empty());
            acknowledged += lines.iter().filter(|line| matches!(line, Line::Ack(..))).count();
            known.hear(lines).unwrap_or_else(|error| panic!("found after cut {cut}: {error:#}"));
        }
        let seen = machine.look().unwrap();
        known.hear(vec![Line::Seen(Box::new(seen))]).unwrap_or_else(|error| panic!("at the end: {error:#}"));
    }
    // A load that hardly ran would prove nothing.
    assert!(told > CUTS / 2 && acknowledged > 20 * CUTS, "{told} lives, {acknowledged} acknowledgements");
    host::progress(&format!("{CUTS} cuts, {acknowledged} acknowledgements, none lost"));
}

/// A disk and what lives on it, one life after the other.
struct Machine {
    dir: tempfile::TempDir,
    image: PathBuf,
    mount: PathBuf,
}

impl Machine {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let (image, mount) = (dir.path().join("disk.img"), dir.path().join("mount"));
        disk::create(&image, DISK_MIB)?;
        std::fs::create_dir(&mount)?;
        Ok(Self { dir, image, mount })
    }

    /// Mounts the disk in a namespace that ends with the process, and starts the load there.
    fn start(&self, more: &str) -> Result<Child> {
        let script = format!(r#"mount -t ext4 -o loop,noinit_itable "$1" "$2" && exec "$3" "$2" {more}"#);
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &script, "storeload"]);
        command.args([&self.image, &self.mount]).arg(env!("CARGO_BIN_EXE_storeload"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().context("unshare does not start")
    }

    /// One life, and what was told in it.
    fn live_and_lose_power(&self, at_the_start: bool) -> Result<Vec<Line>> {
        let mut child = self.start("")?;
        let lines = listen(&mut child)?;
        // A new file system has this folder; the place where it is mounted has not, so nothing else can be stopped.
        let inside = format!("/proc/{}/root{}/lost+found", child.id(), self.mount.display());
        let inside = Path::new(&inside);
        host::wait("the disk to be mounted", Duration::from_secs(10), || Ok(inside.exists()))?;
        let mut told = Vec::new();
        let life = if at_the_start {
            START
        } else {
            told.push(lines.recv_timeout(Duration::from_secs(20)).context("the store did not open")?);
            LIFE
        };
        std::thread::sleep(life.mul_f64(kit::random::unit()));
        if let Some(status) = child.try_wait()? {
            let mut said = String::new();
            child.stderr.take().context("no stderr")?.read_to_string(&mut said)?;
            bail!("the load ended by itself: {status}: {said}");
        }
        let process = Process::of(i32::try_from(child.id())?)?;
        process.signal(Signal::STOP)?;
        disk::cut_power(&self.image, inside)?;
        child.kill()?;
        child.wait()?;
        told.extend(rest(&lines)?);
        disk::detach_all(&self.image)?;
        Ok(told)
    }

    /// What is on the disk.
    fn look(&self) -> Result<Seen> {
        let output = self.start("look")?.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "the store does not open: {said}");
        disk::detach_all(&self.image)?;
        match serde_json::from_slice(&output.stdout)? {
            Line::Seen(seen) => Ok(*seen),
            other @ (Line::Try(..) | Line::Ack(..)) => bail!("not a look: {other:?}"),
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // What a failed test leaves: its process has gone with its pipe, its loop device goes here.
        let _ = disk::detach_all(self.dir.path());
    }
}

/// The lines of a child, whole ones only: the cut may have hit the telling too.
fn listen(child: &mut Child) -> Result<Receiver<Line>> {
    let out = child.stdout.take().context("no stdout")?;
    let (tx, rx) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            let Ok(line) = serde_json::from_str(&line) else { break };
            if tx.send(line).is_err() {
                break;
            }
        }
    });
    Ok(rx)
}

fn rest(lines: &Receiver<Line>) -> Result<Vec<Line>> {
    let mut rest = Vec::new();
    loop {
        match lines.recv_timeout(Duration::from_secs(10)) {
            Ok(line) => rest.push(line),
            Err(RecvTimeoutError::Disconnected) => return Ok(rest),
            Err(RecvTimeoutError::Timeout) => bail!("the load's pipe does not end"),
        }
    }
}

/// What must be on the disk.
#[derive(Default)]
struct Known {
    store_id: Option<String>,
    acknowledged: Numbers,
    /// Sequence numbers of entries acknowledged.
    entries: BTreeSet<u64>,
    /// Up to here entries may be gone.
    delivering: u64,
}

impl Known {
    fn hear(&mut self, lines: Vec<Line>) -> Result<()> {
        for line in lines {
            match line {
                Line::Seen(seen) => {
                    self.check(&seen)
                        .with_context(|| format!("acknowledged {:?}, found {seen:?}", self.acknowledged))?;
                    self.acknowledged = seen.numbers();
                    self.entries = seen.entries.iter().copied().collect();
                    self.delivering = 0;
                    self.store_id = Some(seen.store_id);
                }
                Line::Ack(Thing::Entry, seq) => {
                    self.entries.insert(seq);
                }
                Line::Try(Thing::Delivered, last) => self.delivering = last,
                Line::Ack(thing, number) => {
                    self.acknowledged.insert(thing, number);
                }
                Line::Try(..) => {}
            }
        }
        Ok(())
    }

    fn check(&self, seen: &Seen) -> Result<()> {
        ensure!(seen.wrong.is_empty(), "{:?}", seen.wrong);
        ensure!(seen.set_aside.is_none(), "the store was damaged");
        if let Some(id) = &self.store_id {
            ensure!(!seen.fresh && *id == seen.store_id, "it is another store");
        }
        let found = seen.numbers();
        let number = |numbers: &Numbers, thing| numbers.get(&thing).copied().unwrap_or(0);
        for thing in [
            Thing::Batch,
            Thing::Report,
            Thing::Token,
            Thing::Memory,
            Thing::Welcome,
            Thing::Identity,
            Thing::Bundle,
        ] {
            let (acknowledged, found) = (number(&self.acknowledged, thing), number(&found, thing));
            ensure!(
                found == acknowledged || found == acknowledged + 1,
                "{thing:?}: {acknowledged} was acknowledged and {found} is there"
            );
        }
        let batch = number(&found, Thing::Batch);
        ensure!(
            seen.services.len() == usize::from(batch > 0),
            "a batch was applied in part: {:?}",
            seen.services
        );
        for slot in 0..SLOTS {
            let whole = of_slot(batch, slot);
            for kind in ["Secret", "ConfigMap", "Pod"] {
                let there = seen.objects.get(&format!("{kind} {slot}")).copied();
                ensure!(there == whole, "{kind} {slot} is {there:?} and not {whole:?}");
            }
            for (what, there, last) in [
                ("report", &seen.reports, number(&found, Thing::Report)),
                ("memory", &seen.memory, number(&found, Thing::Memory)),
            ] {
                let there = there.get(&slot).copied();
                ensure!(there == of_slot(last, slot), "{what} {slot} is {there:?}");
            }
        }
        self.check_entries(seen, number(&self.acknowledged, Thing::Delivered))
    }

    fn check_entries(&self, seen: &Seen, delivered: u64) -> Result<()> {
        let there: BTreeSet<u64> = seen.entries.iter().copied().collect();
        let lost: Vec<_> = self.entries.difference(&there).filter(|seq| **seq > self.delivering).collect();
        ensure!(lost.is_empty(), "entries {lost:?} were acknowledged and are gone");
        let back: Vec<_> = there.iter().filter(|seq| **seq <= delivered).collect();
        ensure!(back.is_empty(), "entries {back:?} were delivered and are back");
        let unknown: Vec<_> = there.difference(&self.entries).collect();
        ensure!(unknown.len() <= 1, "entries {unknown:?} were never acknowledged");
        Ok(())
    }
}

/// The last number up to `last` that was written to this slot.
fn of_slot(last: u64, slot: u64) -> Option<u64> {
    let back = (last + SLOTS - slot) % SLOTS;
    last.checked_sub(back).filter(|number| *number > 0)
}
