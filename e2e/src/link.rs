//! An edge's link: cut, hole, heal, shape, and what passed over it.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::edge::Edge;
use crate::names::LabId;
use crate::relay::{self, Order};
use crate::shape::Shape;
use crate::state::{self, EdgeState, LinkState};
use crate::wire::{self, Traffic};
use crate::{host, proc, spawn};

impl Edge {
    /// Takes the interface down on both sides; both see it.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn cut(&self) -> Result<()> {
        self.set_link(LinkState::Cut)
    }

    /// Lets packets vanish both ways without a sign.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn hole(&self) -> Result<()> {
        self.set_link(LinkState::Hole)
    }

    /// Undoes cut, hole and shape.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn heal(&self) -> Result<()> {
        let _lock = self.lock()?;
        let lab = self.lab.id()?;
        let known = EdgeState { link: LinkState::Up, shape: None, ..self.state()? };
        // First the way around the relay, then its end, so that no frame is lost with it needlessly.
        wire::apply(&lab, &known)?;
        stop_relay(&lab, &known)?;
        self.save(&EdgeState { relay: None, ..known })
    }

    /// Shapes the link in both directions, in place of any former shape, and returns when the new one holds.
    ///
    /// # Errors
    /// The shape is impossible, or the relay does not come up.
    pub fn shape(&self, shape: Shape) -> Result<()> {
        shape.check().map_err(anyhow::Error::msg)?;
        let _lock = self.lock()?;
        let mut known = self.state()?;
        let path = self.home().join("shape.json");
        let number = state::load::<Order>(&path)?.map_or(1, |order| order.number + 1);
        state::save(&path, &Order { number, shape })?;
        let relay = match known.relay.filter(|relay| relay.alive()) {
            Some(relay) => relay,
            None => self.start_relay(&known)?,
        };
        known.relay = Some(relay);
        known.shape = Some(shape);
        self.save(&known)?;
        let answer = relay::answer_path(&path);
        let obeyed = host::wait_for(&format!("relay of {}", self.name()), Duration::from_secs(10), || {
            let obeyed = state::load::<u64>(&answer)? == Some(number);
            Ok(if obeyed || !relay.alive() { Some(obeyed) } else { None })
        })?;
        ensure!(obeyed, "the relay of {} ended; see {}", self.name(), self.relay_log().display());
        wire::apply(&self.lab.id()?, &known)
    }

    /// IP bytes and packets that passed the host's end of the link since the edge was added.
    ///
    /// # Errors
    /// There is no such edge.
    pub fn traffic(&self) -> Result<Traffic> {
        wire::traffic(&self.lab.id()?, self.state()?.index)
    }

    fn set_link(&self, link: LinkState) -> Result<()> {
        let _lock = self.lock()?;
        let known = EdgeState { link, ..self.state()? };
        self.save(&known)?;
        wire::apply(&self.lab.id()?, &known)
    }

    fn relay_log(&self) -> std::path::PathBuf {
        self.lab.dir().join("logs").join(format!("{}-relay.log", self.name()))
    }

    fn start_relay(&self, known: &EdgeState) -> Result<proc::Process> {
        let id = self.lab.id()?;
        let _ = std::fs::remove_file(relay::answer_path(&self.home().join("shape.json")));
        let argv = [
            "nsenter".to_owned(),
            format!("--net=/run/netns/{}", id.wires()),
            self.lab.dir().join("bin/lab").display().to_string(),
            "relay".to_owned(),
            self.home().join("shape.json").display().to_string(),
            format!("a{}", known.index),
            format!("b{}", known.index),
        ];
        spawn::daemon(&argv, &[], &self.relay_log(), &self.lab.host_group()?.entrances(None))
    }
}

/// Ends the relay of an edge, if it has one, and returns when its devices are gone too: the next relay makes
/// them anew.
pub(crate) fn stop_relay(lab: &LabId, known: &EdgeState) -> Result<()> {
    let Some(relay) = known.relay else { return Ok(()) };
    relay.kill()?;
    host::wait("end of the relay's devices", Duration::from_secs(10), || {
        Ok(!wire::has_taps(lab, known.index))
    })
}
