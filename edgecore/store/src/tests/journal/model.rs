//! The journal against a model that keeps a list: entries, policies, lives, deliveries and deaths of the process.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::{limits, small};
use crate::limits::{WhenFull, cost};
use crate::{JournalEntry, LedgerRow, Store};

const STREAMS: [&str; 3] = ["events", "messages", "readings"];

#[derive(Debug, Clone)]
enum Op {
    Append {
        stream: usize,
        priority: u8,
        bytes: usize,
        life: Option<u64>,
    },
    /// Of what is there the nth.
    Ack(usize),
    Refuse(usize),
    /// One that is gone already, or never was.
    AckAgain(u64),
    Wait(u64),
    Expire,
    /// The process dies and the store is opened again; `true`: the machine rebooted too.
    Reopen(bool),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let append = (0..3_usize, 0..=9_u8, 0..1400_usize, proptest::option::of(1..30_u64))
        .prop_map(|(stream, priority, bytes, life)| Op::Append { stream, priority, bytes, life });
    let op = prop_oneof![
        12 => append,
        2 => (0..12_usize).prop_map(Op::Ack),
        1 => (0..12_usize).prop_map(Op::Refuse),
        1 => (0..60_u64).prop_map(Op::AckAgain),
        2 => (0..12_u64).prop_map(Op::Wait),
        1 => Just(Op::Expire),
        1 => any::<bool>().prop_map(Op::Reopen),
    ];
    prop::collection::vec(op, 1..60)
}

#[derive(Debug, Clone)]
struct Known {
    seq: u64,
    stream: &'static str,
    priority: u8,
    bytes: usize,
    /// Second at which it is of no use any more. The model's clock is trusted, so boots make no difference.
    dies: Option<u64>,
}

#[derive(Debug, Default)]
struct Model {
    entries: Vec<Known>,
    now: u64,
    /// stream → fate → number.
    counts: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
}

impl Model {
    fn count(&mut self, stream: &'static str, fate: &'static str) {
        *self.counts.entry(stream).or_default().entry(fate).or_default() += 1;
    }

    fn leave(&mut self, at: usize, fate: &'static str) {
        let gone = self.entries.remove(at);
        self.count(gone.stream, fate);
    }

    fn expire(&mut self) {
        while let Some(at) =
            self.entries.iter().position(|known| known.dies.is_some_and(|dies| dies < self.now))
        {
            self.leave(at, "expired");
        }
    }

    fn held(&self, stream: &str) -> u64 {
        self.entries.iter().filter(|known| known.stream == stream).map(|known| cost(known.bytes)).sum()
    }

    /// Whether the entry is taken.
    fn append(&mut self, new: &Known) -> bool {
        let limit = limits().of(new.stream);
        let need = cost(new.bytes);
        self.count(new.stream, "produced");
        if need > limit.max_bytes {
            self.count(new.stream, "too_large");
            return false;
        }
        if self.held(new.stream) + need > limit.max_bytes {
            self.expire();
        }
        let mine = |known: &Known| known.stream == new.stream;
        match limit.when_full {
            _ if self.held(new.stream) + need <= limit.max_bytes => {}
            WhenFull::Refuse => {
                self.count(new.stream, "refused_full");
                return false;
            }
            WhenFull::DropOldest => {
                while self.held(new.stream) + need > limit.max_bytes {
                    let at = self.entries.iter().position(mine).unwrap();
                    self.leave(at, "full");
                }
            }
            WhenFull::DropLowestPriority => {
                let worth: u64 = self
                    .entries
                    .iter()
                    .filter(|known| mine(known) && known.priority > new.priority)
                    .map(|known| cost(known.bytes))
                    .sum();
                if worth + need > limit.max_bytes {
                    self.count(new.stream, "full");
                    return false;
                }
                while self.held(new.stream) + need > limit.max_bytes {
                    let of_stream = self.entries.iter().enumerate().filter(|(_, known)| mine(known));
                    let at = of_stream.min_by_key(|(_, known)| (known.priority, known.seq)).unwrap().0;
                    self.leave(at, "full");
                }
            }
        }
        true
    }
}

fn check(store: &Store, model: &Model) {
    let rows = store.journal(0, 999).unwrap();
    let found: Vec<_> = rows.iter().map(|row| (row.seq, row.stream.as_str(), row.priority)).collect();
    let known: Vec<_> = model.entries.iter().map(|known| (known.seq, known.stream, known.priority)).collect();
    assert_eq!(found, known);
    for row in store.ledger().unwrap().iter().filter(|row| row.stream != "reports") {
        assert!(row.balanced(), "{row:?}");
        let counted = model.counts.get(row.stream.as_str());
        let of = |fate: &str| counted.and_then(|counts| counts.get(fate)).copied().unwrap_or(0);
        assert_eq!(
            (row.produced, row.delivered, row.expired),
            (of("produced"), of("delivered"), of("expired")),
            "{row:?}"
        );
        for reason in ["full", "refused_full", "too_large", "refused"] {
            let dropped = row.dropped.iter().find(|(known, _)| known == reason).map_or(0, |(_, n)| *n);
            assert_eq!(dropped, of(reason), "{reason} in {row:?}");
        }
        let mine: Vec<_> = model.entries.iter().filter(|known| known.stream == row.stream).collect();
        let bytes: usize = mine.iter().map(|known| known.bytes).sum();
        assert_eq!((row.queued, row.bytes), (mine.len() as u64, bytes as u64));
        // What waits is found by priority, all of it, each in order.
        let waiting = store.journal_waiting(&row.stream, &[0; 10], 999).unwrap();
        for (priority, seqs) in waiting.iter().enumerate() {
            let of_priority = mine.iter().filter(|known| usize::from(known.priority) == priority);
            assert_eq!(*seqs, of_priority.map(|known| known.seq).collect::<Vec<_>>());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn the_journal_follows_the_model(ops in ops()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut fixture = small();
            let mut boot = 1;
            let trusted = kit::WallTime(1_800_000_000_000);
            fixture.clock.learn(trusted);
            let mut model = Model::default();
            for op in ops {
                match op {
                    Op::Append { stream, priority, bytes, life } => {
                        let stream = STREAMS[stream];
                        let entry = JournalEntry {
                            stream,
                            priority,
                            expires_after: life.map(Duration::from_secs),
                            body: vec![b'x'; bytes],
                        };
                        let answer = fixture.store.append(entry).await;
                        let dies = life.map(|life| model.now + life);
                        let mut new = Known { seq: 0, stream, priority, bytes, dies };
                        assert_eq!(answer.is_ok(), model.append(&new), "{answer:?}");
                        if let Ok(seq) = answer {
                            new.seq = seq;
                            model.entries.push(new);
                        }
                    }
                    Op::Ack(nth) | Op::Refuse(nth) if nth < model.entries.len() => {
                        let seq = model.entries[nth].seq;
                        if matches!(op, Op::Ack(_)) {
                            fixture.store.journal_acked(vec![seq]).await.unwrap();
                            model.leave(nth, "delivered");
                        } else {
                            fixture.store.journal_refused(seq, "no").await.unwrap();
                            model.leave(nth, "refused");
                        }
                    }
                    Op::Ack(_) | Op::Refuse(_) => {}
                    Op::AckAgain(seq) => {
                        if !model.entries.iter().any(|known| known.seq == seq) {
                            fixture.store.journal_acked(vec![seq, seq]).await.unwrap();
                            fixture.store.journal_refused(seq, "no").await.unwrap();
                        }
                    }
                    Op::Wait(seconds) => {
                        fixture.clock.advance(Duration::from_secs(seconds));
                        model.now += seconds;
                    }
                    Op::Expire => {
                        let due = fixture.store.next_expiry().unwrap() == Some(Duration::ZERO);
                        let dead = model.entries.iter().any(|k| k.dies.is_some_and(|dies| dies < model.now));
                        assert_eq!(due, dead);
                        assert_eq!(fixture.store.expire_journal().await.unwrap(), dead);
                        model.expire();
                    }
                    Op::Reopen(reboot) => {
                        boot += u32::from(reboot);
                        drop(std::mem::replace(&mut fixture.store, super::fixture().store));
                        let (clock, boot) = (fixture.clock.clone(), format!("boot-{boot}"));
                        let opened = Store::open_in_boot_with(fixture.dir.path(), clock, &boot, limits());
                        fixture.store = opened.unwrap().store;
                    }
                }
                check(&fixture.store, &model);
                assert!(fixture.store.ledger().unwrap().iter().all(LedgerRow::balanced));
            }
        });
    }
}
