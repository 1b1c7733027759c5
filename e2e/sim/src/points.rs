//! Where a process stood when it was killed: the chain of awaits of the task whose step was its last, read off the
//! stack when what it waits for says that it is not ready.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use backtrace::Backtrace;

/// Addresses of a stack, innermost first.
type Stack = Vec<usize>;

/// Chains that were made out already: names are costly to find.
static KNOWN: Mutex<BTreeMap<Stack, String>> = Mutex::new(BTreeMap::new());

/// Takes the stacks of one step.
#[derive(Debug, Default)]
pub(crate) struct Stacks {
    armed: bool,
    taken: Vec<Backtrace>,
    /// Stacks that were seen in this run.
    seen: BTreeSet<Stack>,
}

impl Stacks {
    /// The next step may be a process's last.
    pub(crate) fn arm(&mut self, armed: bool) {
        self.armed = armed;
        self.taken.clear();
    }

    /// Something is not ready.
    pub(crate) fn waits(&mut self) {
        if self.armed {
            self.taken.push(Backtrace::new_unresolved());
        }
    }

    /// Whether the step ended in an await that no step of this run ended in before.
    pub(crate) fn are_new(&mut self) -> bool {
        let Self { taken, seen, .. } = self;
        // All of them count as seen.
        taken.iter().map(addresses).filter(|stack| seen.insert(stack.clone())).count() > 0
    }

    /// The awaits that the step ended in, each as files and lines, innermost first.
    pub(crate) fn points(&mut self) -> BTreeSet<String> {
        let taken = std::mem::take(&mut self.taken);
        taken.into_iter().map(chain).filter(|chain| !chain.is_empty()).collect()
    }
}

fn addresses(stack: &Backtrace) -> Stack {
    stack.frames().iter().map(|frame| frame.ip() as usize).collect()
}

fn chain(mut stack: Backtrace) -> String {
    let addresses = addresses(&stack);
    if let Some(known) = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get(&addresses) {
        return known.clone();
    }
    stack.resolve();
    let symbols = stack.frames().iter().flat_map(backtrace::BacktraceFrame::symbols);
    let places = symbols.filter_map(|symbol| Some((place(symbol.filename()?)?, symbol.lineno()?)));
    let mut chain: Vec<String> = places.map(|(file, line)| format!("{file}:{line}")).collect();
    chain.dedup();
    let chain = chain.join(" < ");
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).insert(addresses, chain.clone());
    chain
}

/// The file, where it is the product's.
fn place(file: &Path) -> Option<&str> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let root = Path::new(root).canonicalize().ok()?;
    let file = file.to_str()?;
    let file = file.strip_prefix(root.to_str()?).map_or(file, |rest| rest.trim_start_matches('/'));
    let ours = ["libs/", "edgecore/", "cloudcore/"].iter().any(|side| file.starts_with(side));
    (ours && !file.ends_with("kit/src/sim.rs")).then_some(file)
}
