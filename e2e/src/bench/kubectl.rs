//! What kubectl takes on an edge: to the first byte, by the gigabyte, and by the hundred.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Results;
use super::sample::{MIB, Used, rss_mib};
use crate::programs::Programs;
use crate::{Edge, Lab, UpOptions, host, ordinary};

const EDGE: &str = "edge-1";
const ORDINARY: &str = "ordinary";
const POD: &str = "works";
const PATIENCE: Duration = Duration::from_mins(5);
const RUNS: usize = 7;
/// Runs of what takes long.
const LONG_RUNS: usize = 3;
/// Bytes of what is copied and forwarded.
const GIB: u64 = 1 << 30;
/// Streams open at once.
const FOLLOWERS: u16 = 100;
/// How long the processors are watched while logs are followed.
const WINDOW: Duration = Duration::from_secs(30);

/// Names of what is measured on both kinds of node.
struct Names {
    logs: &'static str,
    exec: &'static str,
    copy: &'static str,
    forward: &'static str,
}

const OURS: Names =
    Names { logs: "logs_first_byte", exec: "exec_first_byte", copy: "cp_rate", forward: "forward_rate" };
const THEIRS: Names = Names {
    logs: "ordinary_logs_first_byte",
    exec: "ordinary_exec_first_byte",
    copy: "ordinary_cp_rate",
    forward: "ordinary_forward_rate",
};

/// Measures what is wanted on an edge.
pub(super) fn measure(dir: &Path, wanted: &dyn Fn(&str) -> bool, results: &mut Results) -> Result<()> {
    let any = |names: &[&str]| names.iter().any(|name| wanted(name));
    Lab::at(dir)?.down()?;
    let lab = Lab::up(dir, &UpOptions { edges: Some(1), stock: true, ..UpOptions::default() })?;
    let bench = Bench { node: lab.edge(EDGE), lab, edge: true };
    bench.start()?;
    let first = ["kubectl_start", OURS.logs, OURS.exec, "ctr_exec_first_byte"];
    if any(&first) {
        results.measure(&first, |results| bench.first_bytes(&OURS, results));
    }
    bench.rates(&OURS, wanted, results);
    let many = ["stream_memory", "followers_cpu_cloud", "followers_cpu_edge"];
    if any(&many) {
        results.measure(&many, |results| bench.followers(results));
    }
    bench.lab.down()
}

/// Measures the same on an ordinary node, with upstream's kubelet, in the edge's place.
pub(super) fn compare(dir: &Path, wanted: &dyn Fn(&str) -> bool, results: &mut Results) -> Result<()> {
    Lab::at(dir)?.down()?;
    Programs::find(None)?.install_upstream(&std::path::absolute(dir)?)?;
    let control_plane = vec![ordinary::BY_ADDRESS.to_owned()];
    let up = UpOptions { edges: Some(0), stock: true, control_plane, ..UpOptions::default() };
    let lab = Lab::up(dir, &up)?;
    let node = ordinary::add(&lab, ORDINARY)?;
    let bench = Bench { node: lab.edge(ORDINARY), lab, edge: false };
    bench.start()?;
    let first = [THEIRS.logs, THEIRS.exec];
    if first.iter().any(|name| wanted(name)) {
        results.measure(&first, |results| bench.first_bytes(&THEIRS, results));
    }
    bench.rates(&THEIRS, wanted, results);
    node.save_logs(&bench.lab);
    bench.lab.down()
}

struct Bench {
    lab: Lab,
    node: Edge,
    /// The node is an edge, and not an ordinary one.
    edge: bool,
}

/// Ends with its holder. What it says is kept open: a kubectl that cannot say more ends.
struct Going {
    child: Child,
    _said: Option<BufReader<ChildStdout>>,
}

impl Drop for Going {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Bench {
    fn start(&self) -> Result<()> {
        self.lab.apply(include_str!("kubectl/works.yaml"))?;
        self.lab.wait_ready("default", "app=works", 1, PATIENCE).map(drop)
    }

    fn rates(&self, names: &Names, wanted: &dyn Fn(&str) -> bool, results: &mut Results) {
        if wanted(names.copy) {
            results.measure(&[names.copy], |results| self.copy(names.copy, results));
        }
        if wanted(names.forward) {
            results.measure(&[names.forward], |results| self.forward(names.forward, results));
        }
    }

    /// The two that carry the streams: cloudcore and edgecore.
    fn pids(&self) -> Result<[i32; 2]> {
        let cloud = self.lab.clouds().into_iter().next().context("no cloudcore")?;
        Ok([cloud.process.context("cloudcore does not run")?.pid, self.node.edgecore()?.pid])
    }

    fn memory(&self, key: &str) -> Result<[f64; 2]> {
        let [cloud, edge] = self.pids()?;
        Ok([rss_mib(cloud, key)?, rss_mib(edge, key)?])
    }

    /// Does what takes long, and tells what it took of the processors and what memory it left, where the node is an edge.
    fn taken(&self, work: impl FnOnce() -> Result<()>) -> Result<Duration> {
        let started = host::now();
        if !self.edge {
            work()?;
            return Ok(started.elapsed());
        }
        let used = self.pids()?.map(|pid| Used::by(&[pid]));
        work()?;
        let taken = started.elapsed();
        let pids = self.pids()?;
        let cpu = [0, 1].map(|side| Used::by(&[pids[side]]).cpu - used[side].cpu);
        let ([cloud, edge], [most_cloud, most_edge]) = (self.memory("VmRSS")?, self.memory("VmHWM")?);
        host::progress(&format!(
            "  {:.1} s, of which cloudcore took {:.1} s of a processor, edgecore {:.1} s; then cloudcore has {cloud:.1} MiB \
             (at most {most_cloud:.1}), edgecore {edge:.1} MiB (at most {most_edge:.1})",
            taken.as_secs_f64(),
            cpu[0],
            cpu[1],
        ));
        Ok(taken)
    }

    fn first_bytes(&self, names: &Names, results: &mut Results) -> Result<()> {
        for run in 0..RUNS {
            results.add(names.logs, first_byte(&mut self.lab.kubectl_command(&["logs", POD]))?);
            let mut exec = self.lab.kubectl_command(&["exec", POD, "--", "echo", "here"]);
            results.add(names.exec, first_byte(&mut exec)?);
            if self.edge {
                let mut version = self.lab.kubectl_command(&["version", "--client"]);
                results.add("kubectl_start", first_byte(&mut version)?);
                results.add("ctr_exec_first_byte", self.direct(run)?);
            }
        }
        Ok(())
    }

    /// The same without Kubernetes: by containerd's own client, on the node.
    fn direct(&self, run: usize) -> Result<f64> {
        let container = self.node.containers()?.into_iter().next().context("no container")?.id;
        let id = format!("bench-{run}");
        let exec = ["ctr", "-n", "k8s.io", "tasks", "exec", "--exec-id", &id, &container, "echo", "here"];
        first_byte(&mut self.node.command(&exec)?)
    }

    /// Into memory, so that no disk is measured.
    fn copy(&self, name: &'static str, results: &mut Results) -> Result<()> {
        let file = self.lab.dir().join("gibibyte");
        std::fs::File::create(&file)?.set_len(GIB)?;
        for _ in 0..LONG_RUNS {
            let from = file.to_str().context("a path of text")?;
            let to = format!("{POD}:/memory/file");
            let taken = self.taken(|| self.lab.kubectl(&["cp", from, &to]).map(drop))?;
            results.add(name, rate(taken));
            let length = self.lab.kubectl(&["exec", POD, "--", "stat", "-c", "%s", "/memory/file"])?;
            ensure!(length.trim() == GIB.to_string(), "{length} bytes came");
            self.lab.kubectl(&["exec", POD, "--", "rm", "/memory/file"])?;
        }
        Ok(std::fs::remove_file(&file)?)
    }

    fn forward(&self, name: &'static str, results: &mut Results) -> Result<()> {
        self.lab.kubectl(&["exec", POD, "--", "truncate", "-s", &GIB.to_string(), "/memory/file"])?;
        let words = ["port-forward", &format!("pod/{POD}"), ":8080"];
        let (_forwarding, port) = self.listening(&words, "Forwarding from 127.0.0.1:")?;
        for _ in 0..LONG_RUNS {
            let url = format!("http://127.0.0.1:{port}/file");
            let taken = self.taken(|| {
                let whole = ["-sf", "-o", "/dev/null", "-w", "%{size_download}", &url];
                let got = host::finish(Command::new("curl").args(whole))?;
                ensure!(got == GIB.to_string(), "{got} bytes came");
                Ok(())
            })?;
            results.add(name, rate(taken));
        }
        self.lab.kubectl(&["exec", POD, "--", "rm", "/memory/file"])?;
        Ok(())
    }

    /// A kubectl that listens, and the port that it says.
    fn listening(&self, words: &[&str], before: &str) -> Result<(Going, String)> {
        let mut child = self.lab.kubectl_command(words).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let mut said = BufReader::new(child.stdout.take().context("no output")?);
        said.read_line(&mut line)?;
        let port = line.strip_prefix(before).context(line.clone())?;
        let port = port.chars().take_while(char::is_ascii_digit).collect();
        Ok((Going { child, _said: Some(said) }, port))
    }

    /// A hundred followers of one log that has ten lines a second: what they keep, and what they cost.
    fn followers(&self, results: &mut Results) -> Result<()> {
        let (_proxy, port) = self.listening(&["proxy", "--port=0"], "Starting to serve on 127.0.0.1:")?;
        // Once beforehand: what the first stream sets up is not the streams'.
        let path = "/api/v1/namespaces/default/pods/works/log?follow=true&tailLines=1";
        let open = || -> Result<TcpStream> {
            let mut stream = TcpStream::connect(format!("127.0.0.1:{port}"))?;
            stream.set_read_timeout(Some(PATIENCE))?;
            write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
            let mut first = [0];
            stream.read_exact(&mut first)?;
            Ok(stream)
        };
        drop((0..FOLLOWERS).map(|_| open()).collect::<Result<Vec<_>>>()?);
        for _ in 0..LONG_RUNS {
            self.until_no_call()?;
            let before = self.memory("VmRSS")?;
            let streams = (0..FOLLOWERS).map(|_| open()).collect::<Result<Vec<_>>>()?;
            let readers: Vec<_> = streams.into_iter().map(Reader::start).collect::<Result<_>>()?;
            let [cloud, edge] = self.pids()?;
            let used = [cloud, edge].map(|pid| Used::by(&[pid]));
            // The figure is over a window.
            std::thread::sleep(WINDOW);
            let cpu = |pid, since: Used| (Used::by(&[pid]).cpu - since.cpu) * 100.0 / WINDOW.as_secs_f64();
            results.add("followers_cpu_cloud", cpu(cloud, used[0]));
            results.add("followers_cpu_edge", cpu(edge, used[1]));
            let after = self.memory("VmRSS")?;
            let each = [0, 1].map(|side| (after[side] - before[side]) * 1024.0 / f64::from(FOLLOWERS));
            host::progress(&format!("  a stream: cloudcore {:.1} KiB, edgecore {:.1} KiB", each[0], each[1]));
            results.add("stream_memory", each[0].max(each[1]));
            let lines: u64 = readers.into_iter().map(Reader::stop).sum();
            ensure!(lines >= u64::from(FOLLOWERS) * WINDOW.as_secs() * 5, "only {lines} lines came");
        }
        Ok(())
    }

    fn until_no_call(&self) -> Result<()> {
        self.lab.wait("no call is under way", PATIENCE, || {
            Ok(self.lab.metrics(1)?.count("skerry_kubelet_calls_active", &[]) == 0)
        })
    }
}

/// Reads a followed log, and counts its lines.
struct Reader {
    stream: TcpStream,
    thread: std::thread::JoinHandle<u64>,
}

impl Reader {
    fn start(stream: TcpStream) -> Result<Self> {
        let mut reading = stream.try_clone()?;
        let thread = std::thread::spawn(move || {
            let (mut lines, mut chunk) = (0, [0; 4096]);
            while let Ok(length @ 1..) = reading.read(&mut chunk) {
                lines += chunk.iter().take(length).map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
            }
            lines
        });
        Ok(Self { stream, thread })
    }

    fn stop(self) -> u64 {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        self.thread.join().unwrap_or_default()
    }
}

/// Seconds from the start of the process to the first byte on its standard output.
fn first_byte(command: &mut Command) -> Result<f64> {
    let started: Instant = host::now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut going = Going { child, _said: None };
    let mut byte = [0];
    going.child.stdout.take().context("no output")?.read_exact(&mut byte).context("it said nothing")?;
    Ok(started.elapsed().as_secs_f64())
}

#[expect(clippy::cast_precision_loss, reason = "a gibibyte is far below 2^52")]
fn rate(taken: Duration) -> f64 {
    GIB as f64 / MIB / taken.as_secs_f64()
}
