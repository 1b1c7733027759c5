//! One address for several cloudcores, as a Service is one: the packet filter spreads new connections over those that
//! are ready, and connections that stand stay where they are. A process asks every cloudcore's `/readyz` all the time
//! and writes the packet filter's table anew when an answer changes; where none is ready, connections are refused.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cloud::{SHARED_PORTS, http_status};
use crate::lab::Lab;
use crate::names::LabId;
use crate::proc::Process;
use crate::state::{self, CloudState};
use crate::{host, spawn};

/// Between two questions.
const PERIOD: Duration = Duration::from_millis(200);

/// Starts the process, if it does not run.
pub(crate) fn start(lab: &Lab) -> Result<()> {
    let path = lab.dir().join("clouds/balancer.json");
    if state::load::<Process>(&path)?.is_some_and(Process::alive) {
        return Ok(());
    }
    // What an earlier one told is not what this one does.
    let _ = std::fs::remove_file(shown_path(lab));
    let dir = lab.dir().display().to_string();
    let argv = [lab.dir().join("bin/lab").display().to_string(), "balance".to_owned(), dir];
    let log: PathBuf = lab.dir().join("logs/balancer.log");
    state::save(&path, &spawn::daemon(&argv, &[], &log, &lab.host_group()?.entrances(None))?)
}

/// Returns when new connections reach the cloudcore with this link port, where there is a process that spreads them.
pub(crate) fn wait_for(lab: &Lab, port: u16) -> Result<()> {
    if !lab.dir().join("clouds/balancer.json").exists() {
        return Ok(());
    }
    host::wait("the shared address", Duration::from_secs(30), || {
        let shown = state::load::<Vec<u16>>(&shown_path(lab))?;
        Ok(shown.is_some_and(|shown| shown.contains(&port)))
    })
}

/// What the packet filter was told last.
fn shown_path(lab: &Lab) -> PathBuf {
    lab.dir().join("clouds/balanced.json")
}

/// Ends the process, if there is one, and removes what it wrote.
pub(crate) fn stop(lab: &Lab) -> Result<()> {
    let path = lab.dir().join("clouds/balancer.json");
    let Some(process) = state::load::<Process>(&path)? else { return Ok(()) };
    process.kill()?;
    let name = table_name(&lab.id()?);
    let rules = format!("table inet {name} {{}}\ndelete table inet {name}\n");
    host::finish_with_input(Command::new("nft").args(["-f", "-"]), rules.as_bytes())?;
    let _ = std::fs::remove_file(shown_path(lab));
    Ok(std::fs::remove_file(path)?)
}

fn table_name(lab: &LabId) -> String {
    format!("{}-clouds", lab.wires())
}

/// Balances until killed.
///
/// # Errors
/// There is no lab, or the packet filter refuses.
pub fn run(dir: &Path) -> Result<()> {
    let lab = Lab::at(dir)?;
    let id = lab.id()?;
    let name = table_name(&id);
    let mut shown = None;
    loop {
        let ready: BTreeMap<u16, u16> = std::thread::scope(|scope| {
            let asked: Vec<_> =
                lab.clouds().into_iter().map(|cloud| scope.spawn(move || ports(&cloud))).collect();
            asked.into_iter().filter_map(|answer| answer.join().ok().flatten()).collect()
        });
        if shown.as_ref() != Some(&ready) {
            host::progress(&format!("ready: {:?}", ready.keys().collect::<Vec<_>>()));
            let rules = table(&name, id.host_address(), &ready);
            host::finish_with_input(Command::new("nft").args(["-f", "-"]), rules.as_bytes())
                .context("the packet filter does not take the rules")?;
            state::save(&shown_path(&lab), &ready.keys().collect::<Vec<_>>())?;
            shown = Some(ready);
        }
        std::thread::sleep(PERIOD);
    }
}

/// Link and join port of a cloudcore that is ready.
fn ports(cloud: &CloudState) -> Option<(u16, u16)> {
    let admin = SocketAddr::from(([127, 0, 0, 1], cloud.admin_port));
    let ready = cloud.process.is_some_and(Process::alive) && http_status(admin, "/readyz").ok()? == 200;
    ready.then_some((cloud.link_port, cloud.join_port))
}

/// The table that replaces whatever is there in one step. Nobody listens on the shared ports themselves.
fn table(name: &str, address: Ipv4Addr, ready: &BTreeMap<u16, u16>) -> String {
    let rule = |shared: u16, ports: Vec<&u16>| {
        let places: Vec<String> =
            ports.iter().enumerate().map(|(at, port)| format!("{at} : {port}")).collect();
        if places.is_empty() {
            return String::new();
        }
        let spread = format!("numgen inc mod {} map {{ {} }}", places.len(), places.join(", "));
        format!("ip daddr {address} tcp dport {shared} dnat ip to {address}:{spread}\n")
    };
    let rules =
        rule(SHARED_PORTS.0, ready.keys().collect()) + &rule(SHARED_PORTS.1, ready.values().collect());
    format!(
        "table inet {name} {{}}\ndelete table inet {name}\ntable inet {name} {{\n\
         chain arriving {{ type nat hook prerouting priority -100;\n{rules}}}\n\
         chain local {{ type nat hook output priority -100;\n{rules}}}\n}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ready_cloudcore_gets_its_share() {
        let address = Ipv4Addr::new(198, 18, 0, 1);
        let rules = table("t", address, &BTreeMap::from([(10_000, 10_002), (10_200, 10_202)]));
        let links = "tcp dport 9000 dnat ip to 198.18.0.1:numgen inc mod 2 map { 0 : 10000, 1 : 10200 }";
        let joins = "tcp dport 9002 dnat ip to 198.18.0.1:numgen inc mod 2 map { 0 : 10002, 1 : 10202 }";
        assert_eq!((rules.matches(links).count(), rules.matches(joins).count()), (2, 2), "{rules}");
        assert!(!table("t", address, &BTreeMap::new()).contains("dnat ip to"), "refused where none is ready");
    }
}
