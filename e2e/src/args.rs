//! The command line of `lab`, parsed into one value. Pure; what is wrong is said in one sentence.

use std::path::PathBuf;
use std::str::FromStr;

use link::Endpoint;

use crate::cloud::MAX_CLOUDS;
use crate::lab::UpOptions;
use crate::shape::Shape;
use crate::state::Runtime;

/// Simulated edges in one process: descriptors and ports of the machine end about there.
const MAX_SIMULATED: usize = 19_000;

/// What was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The lab's directory.
    pub dir: PathBuf,
    /// What to do.
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Clone)]
pub enum Verb {
    /// Bring the lab up.
    Up(Box<UpOptions>),
    /// Remove everything.
    Down,
    /// Tell what there is.
    Status {
        /// In one line for programs.
        json: bool,
    },
    /// Run kubectl.
    Kubectl(Vec<String>),
    /// Add an edge.
    EdgeAdd(String),
    /// Remove an edge.
    EdgeRm(String),
    /// Kill an agent.
    EdgeKill(String),
    /// Start an agent.
    EdgeStart(String),
    /// Take an edge's power away.
    PowerOff(String),
    /// Give it back.
    PowerOn(String),
    /// Run a program on an edge.
    Exec(String, Vec<String>),
    /// Take a link down.
    LinkCut(String),
    /// Let a link swallow everything.
    LinkHole(String),
    /// Undo both, and the shape.
    LinkHeal(String),
    /// Shape a link.
    LinkShape(String, Shape),
    /// Kill all cloudcores or one.
    CloudKill(Option<u32>),
    /// Start all cloudcores or one.
    CloudStart(Option<u32>),
    /// Ask all cloudcores or one to end, as a rolling update does.
    CloudDrain(Option<u32>),
    /// Make an image.
    ImageAdd(String, Vec<PathBuf>),
    /// Simulate so many edges, which connect to one cloudcore or to all.
    Sim(usize, Option<Endpoint>),
    /// Explain the verbs.
    Help,
}

impl PartialEq for Verb {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

/// The verbs, for people.
pub const USAGE: &str = "\
usage: lab [--dir DIR] VERB
  up [--edges N] [--clouds N] [--containerd debian|2.2] [--kubeconfig PATH] [--bin DIR] [--audit]
     [--set COMPONENT=--FLAG=VALUE]
  down
  status [--json]
  kubectl ARGS...
  edge add|rm|kill|start|power-off|power-on NAME
  edge exec NAME -- CMD...
  link cut|hole|heal NAME
  link shape NAME [--loss PCT] [--delay MS] [--jitter MS] [--rate KBIT] [--duplicate PCT] [--reorder PCT]
  cloud kill|start|drain [N]
  image add NAME:TAG FILE...
  sim --nodes N [--cloud ADDRESS]
";

/// Parses what follows the program's name. `default_dir` is where the lab is without `--dir`.
///
/// # Errors
/// What is wrong, in one sentence.
pub fn parse(args: &[String], default_dir: &str) -> Result<Request, String> {
    let mut words = Words { rest: args.to_vec(), dir: None };
    words.take_leading_dir()?;
    let Some(first) = words.next() else { return Err("no verb; `lab help` lists them".into()) };
    words.take_leading_dir()?;
    let verb = match first.as_str() {
        // What follows these belongs to another program and is not looked into.
        "kubectl" => Verb::Kubectl(std::mem::take(&mut words.rest)),
        "edge" => parse_edge(&mut words)?,
        _ => {
            words.take_dir_anywhere()?;
            parse_plain(&first, &mut words)?
        }
    };
    if let Some(extra) = words.rest.first() {
        return Err(format!("unexpected {extra:?} after {first}"));
    }
    Ok(Request { dir: PathBuf::from(words.dir.as_deref().unwrap_or(default_dir)), verb })
}

struct Words {
    rest: Vec<String>,
    dir: Option<String>,
}

impl Words {
    fn next(&mut self) -> Option<String> {
        (!self.rest.is_empty()).then(|| self.rest.remove(0))
    }

    fn need(&mut self, what: &str) -> Result<String, String> {
        self.next().filter(|word| !word.starts_with('-')).ok_or_else(|| format!("{what} is missing"))
    }

    fn take_leading_dir(&mut self) -> Result<(), String> {
        while self.rest.first().is_some_and(|word| word == "--dir" || word.starts_with("--dir=")) {
            self.dir = self.option("--dir")?;
        }
        Ok(())
    }

    fn take_dir_anywhere(&mut self) -> Result<(), String> {
        while let Some(dir) = self.option("--dir")? {
            self.dir = Some(dir);
        }
        Ok(())
    }

    /// Takes `name VALUE` or `name=VALUE` out, wherever it stands before a `--`.
    fn option(&mut self, name: &str) -> Result<Option<String>, String> {
        let end = self.rest.iter().position(|word| word == "--").unwrap_or(self.rest.len());
        let joined = format!("{name}=");
        let Some(at) = self.rest[..end].iter().position(|word| *word == name || word.starts_with(&joined))
        else {
            return Ok(None);
        };
        let word = self.rest.remove(at);
        if let Some(value) = word.strip_prefix(&joined) {
            return Ok(Some(value.to_owned()));
        }
        if at + 1 > end.saturating_sub(1) {
            return Err(format!("{name} needs a value"));
        }
        Ok(Some(self.rest.remove(at)))
    }

    /// As [`Self::option`], as often as it stands there.
    fn options(&mut self, name: &str) -> Result<Vec<String>, String> {
        let mut values = Vec::new();
        while let Some(value) = self.option(name)? {
            values.push(value);
        }
        Ok(values)
    }

    fn number<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, String> {
        let Some(text) = self.option(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| format!("{name} {text}: not a number that fits"))
    }

    fn flag(&mut self, name: &str) -> bool {
        let at = self.rest.iter().position(|word| word == name);
        at.map(|at| self.rest.remove(at)).is_some()
    }
}

fn parse_plain(first: &str, words: &mut Words) -> Result<Verb, String> {
    Ok(match first {
        "up" => Verb::Up(Box::new(parse_up(words)?)),
        "down" => Verb::Down,
        "status" => Verb::Status { json: words.flag("--json") },
        "link" => parse_link(words)?,
        "cloud" => {
            let what = words.need("what to do with cloudcore (kill, start or drain)")?;
            let n = words.next().map(|n| n.parse().map_err(|_| format!("cloudcore {n:?}: not a number")));
            match what.as_str() {
                "kill" => Verb::CloudKill(n.transpose()?),
                "start" => Verb::CloudStart(n.transpose()?),
                "drain" => Verb::CloudDrain(n.transpose()?),
                _ => return Err(format!("cloud {what}: no such verb")),
            }
        }
        "image" => {
            let what = words.need("what to do with the image (add)")?;
            if what != "add" {
                return Err(format!("image {what}: no such verb"));
            }
            let name = words.need("NAME:TAG")?;
            let files: Vec<PathBuf> =
                std::mem::take(&mut words.rest).into_iter().map(PathBuf::from).collect();
            if files.is_empty() {
                return Err("image add: no FILE".into());
            }
            Verb::ImageAdd(name, files)
        }
        "sim" => {
            let nodes = words.number("--nodes")?.ok_or("sim: --nodes N is missing")?;
            if !(1..=MAX_SIMULATED).contains(&nodes) {
                return Err(format!("--nodes {nodes}: 1 to {MAX_SIMULATED} are wanted"));
            }
            let cloud = words.option("--cloud")?.map(|address| endpoint(&address)).transpose()?;
            Verb::Sim(nodes, cloud)
        }
        "help" | "--help" | "-h" => Verb::Help,
        _ => return Err(format!("{first}: no such verb; `lab help` lists them")),
    })
}

/// `HOST:PORT`, or the whole address as `lab status` says it.
fn endpoint(address: &str) -> Result<Endpoint, String> {
    let whole =
        if address.contains("://") { address.to_owned() } else { format!("wss://{address}{}", link::PATH) };
    whole.parse().map_err(|error| format!("--cloud {address}: {error}"))
}

fn parse_up(words: &mut Words) -> Result<UpOptions, String> {
    let runtime = match words.option("--containerd")?.as_deref() {
        None => None,
        Some("debian") => Some(Runtime::Debian),
        Some("2.2") => Some(Runtime::Current),
        Some(other) => return Err(format!("--containerd {other}: debian or 2.2 is wanted")),
    };
    let edges = words.number::<u32>("--edges")?;
    if edges.is_some_and(|edges| edges > 253) {
        return Err("--edges: a lab holds 253 edges".into());
    }
    let clouds = words.number::<u32>("--clouds")?;
    if clouds.is_some_and(|clouds| !(1..=MAX_CLOUDS).contains(&clouds)) {
        return Err(format!("--clouds: a lab holds 1 to {MAX_CLOUDS} cloudcores"));
    }
    Ok(UpOptions {
        edges,
        clouds,
        runtime,
        kubeconfig: words.option("--kubeconfig")?.map(PathBuf::from),
        bin: words.option("--bin")?.map(PathBuf::from),
        audit: words.flag("--audit"),
        stock: false,
        control_plane: words.options("--set")?,
        bare: words.flag("--bare"),
    })
}

fn parse_edge(words: &mut Words) -> Result<Verb, String> {
    let what = words.need("what to do with the edge (add, rm, kill, start, power-off, power-on or exec)")?;
    words.take_dir_anywhere()?;
    let name = words.need("the edge's NAME")?;
    Ok(match what.as_str() {
        "add" => Verb::EdgeAdd(name),
        "rm" => Verb::EdgeRm(name),
        "kill" => Verb::EdgeKill(name),
        "start" => Verb::EdgeStart(name),
        "power-off" => Verb::PowerOff(name),
        "power-on" => Verb::PowerOn(name),
        "exec" => {
            let mut command = std::mem::take(&mut words.rest);
            if command.first().is_some_and(|word| word == "--") {
                command.remove(0);
            }
            if command.is_empty() {
                return Err("edge exec: no CMD".into());
            }
            Verb::Exec(name, command)
        }
        _ => return Err(format!("edge {what}: no such verb")),
    })
}

fn parse_link(words: &mut Words) -> Result<Verb, String> {
    let what = words.need("what to do with the link (cut, hole, heal or shape)")?;
    let name = words.need("the edge's NAME")?;
    Ok(match what.as_str() {
        "cut" => Verb::LinkCut(name),
        "hole" => Verb::LinkHole(name),
        "heal" => Verb::LinkHeal(name),
        "shape" => {
            let shape = Shape {
                loss: words.number("--loss")?.unwrap_or_default(),
                delay_ms: words.number("--delay")?.unwrap_or_default(),
                jitter_ms: words.number("--jitter")?.unwrap_or_default(),
                rate_kbit: words.number("--rate")?.unwrap_or_default(),
                duplicate: words.number("--duplicate")?.unwrap_or_default(),
                reorder: words.number("--reorder")?.unwrap_or_default(),
            };
            shape.check()?;
            Verb::LinkShape(name, shape)
        }
        _ => return Err(format!("link {what}: no such verb")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Request, String> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&args, "target/lab")
    }

    fn check(line: &str, dir: &str, verb: Verb) {
        assert_eq!(parsed(line), Ok(Request { dir: dir.into(), verb }), "{line}");
    }

    #[test]
    fn the_directory_stands_before_or_after_the_verb() {
        for line in ["--dir a down", "down --dir a", "--dir=a down", "--dir b down --dir a"] {
            check(line, "a", Verb::Down);
        }
        check("edge rm x --dir a", "a", Verb::EdgeRm("x".into()));
        check("edge --dir a rm x", "a", Verb::EdgeRm("x".into()));
        check("link cut x --dir a", "a", Verb::LinkCut("x".into()));
        check("down", "target/lab", Verb::Down);
    }

    #[test]
    fn what_belongs_to_another_program_is_left_alone() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        check("kubectl --dir a exec p -- ls --dir b", "a", Verb::Kubectl(words("exec p -- ls --dir b")));
        check("edge exec x --dir a -- ls --dir b", "a", Verb::Exec("x".into(), words("ls --dir b")));
        check("edge exec x ls", "target/lab", Verb::Exec("x".into(), words("ls")));
    }

    #[test]
    fn up_takes_its_options_in_any_order() {
        let options = UpOptions {
            edges: Some(3),
            clouds: Some(2),
            runtime: Some(Runtime::Current),
            kubeconfig: Some("k".into()),
            ..UpOptions::default()
        };
        check(
            "up --containerd 2.2 --clouds 2 --kubeconfig k --edges 3",
            "target/lab",
            Verb::Up(Box::new(options)),
        );
    }

    #[test]
    fn a_shape_is_read_whole() {
        let shape =
            Shape { loss: 0.5, delay_ms: 20, jitter_ms: 5, rate_kbit: 1_000, duplicate: 1.0, reorder: 2.0 };
        let line = "link shape x --loss 0.5 --delay 20 --jitter 5 --rate 1000 --duplicate 1 --reorder 2";
        check(line, "target/lab", Verb::LinkShape("x".into(), shape));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let refused = |line: &str, part: &str| {
            let error = parsed(line).expect_err(line);
            assert!(error.contains(part), "{line}: {error}");
        };
        refused("", "no verb");
        refused("fly", "fly");
        refused("up --edges many", "--edges many");
        refused("up --edges 254", "253");
        refused("up --clouds 0", "1 to");
        refused("up --containerd 1.7", "--containerd 1.7");
        refused("up --edges", "--edges needs a value");
        refused("down now", "now");
        refused("status --yaml", "--yaml");
        refused("edge", "what to do");
        refused("edge add", "NAME");
        refused("edge exec x --", "no CMD");
        refused("link shape x --loss 101", "loss");
        refused("link shape x --loss NaN", "loss");
        refused("link shape x --jitter 5", "jitter");
        refused("cloud kill first", "first");
        refused("image add app:1", "no FILE");
        refused("sim", "--nodes N");
        refused("sim --nodes 0", "--nodes 0");
        refused("sim --nodes 5 --cloud nowhere", "--cloud nowhere");
        refused("--dir", "--dir needs a value");
    }

    #[test]
    fn a_simulation_has_a_size_and_perhaps_an_address() {
        let endpoint: Endpoint = "wss://198.18.0.1:10000/v1/connect".parse().unwrap();
        check("sim --nodes 50", "target/lab", Verb::Sim(50, None));
        let line = "sim --cloud 198.18.0.1:10000 --nodes 10000 --dir a";
        check(line, "a", Verb::Sim(10_000, Some(endpoint.clone())));
        let line = "sim --nodes 1 --cloud=wss://198.18.0.1:10000/v1/connect";
        check(line, "target/lab", Verb::Sim(1, Some(endpoint)));
    }

    #[test]
    fn numbers_and_names() {
        check("cloud kill", "target/lab", Verb::CloudKill(None));
        check("cloud start 2", "target/lab", Verb::CloudStart(Some(2)));
        check("cloud drain 2", "target/lab", Verb::CloudDrain(Some(2)));
        check("status --json", "target/lab", Verb::Status { json: true });
        check(
            "image add app:1 a b",
            "target/lab",
            Verb::ImageAdd("app:1".into(), vec!["a".into(), "b".into()]),
        );
    }
}
