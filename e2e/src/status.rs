//! What `lab status` says, in JSON exactly as the contract names it. Pids and paths are the host's.

use serde::Serialize;

use crate::state::LinkState;

/// A whole lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The lab's directory.
    pub dir: String,
    /// The cluster admin's kubeconfig, `None` where the lab is down.
    pub kubeconfig: Option<String>,
    /// Its cloudcores.
    pub clouds: Vec<Cloud>,
    /// Its edges.
    pub edges: Vec<EdgeStatus>,
}

/// One cloudcore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cloud {
    /// Its number, from 1.
    pub n: u32,
    /// Its process, `None` while killed.
    pub pid: Option<i32>,
    /// Where edges connect.
    pub connect: String,
    /// Where its metrics and health are.
    pub metrics: String,
}

/// One edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EdgeStatus {
    /// Its name.
    pub name: String,
    /// edgecore's process, `None` while killed or powered off.
    pub pid: Option<i32>,
    /// containerd's process, `None` while powered off.
    pub containerd_pid: Option<i32>,
    /// The name of its network namespace.
    pub netns: String,
    /// The host's end of its link.
    pub veth: String,
    /// What its link does.
    pub link: LinkState,
    /// Whether its link is shaped.
    pub shaped: bool,
    /// containerd's socket.
    pub containerd: String,
    /// edgecore's state.
    pub dir: String,
}

impl Status {
    /// The same for people: one line per thing.
    pub fn text(&self) -> String {
        let pid = |pid: Option<i32>| pid.map_or_else(|| "not running".to_owned(), |pid| format!("pid {pid}"));
        let Some(kubeconfig) = &self.kubeconfig else {
            if self.edges.is_empty() {
                return format!("lab {}: down\n", self.dir);
            }
            return format!("lab {}: nodes only\n{}", self.dir, self.edge_lines(pid));
        };
        let clouds: String = self
            .clouds
            .iter()
            .map(|cloud| {
                format!("cloudcore {}: {}, {}, {}\n", cloud.n, pid(cloud.pid), cloud.connect, cloud.metrics)
            })
            .collect::<Vec<_>>()
            .concat();
        format!("lab {}\nkubeconfig {kubeconfig}\n{clouds}{}", self.dir, self.edge_lines(pid))
    }

    fn edge_lines(&self, pid: impl Fn(Option<i32>) -> String) -> String {
        let line = |edge: &EdgeStatus| {
            let link = match edge.link {
                LinkState::Up => "up",
                LinkState::Cut => "cut",
                LinkState::Hole => "hole",
            };
            let shaped = if edge.shaped { ", shaped" } else { "" };
            let (agent, runtime) = (pid(edge.pid), pid(edge.containerd_pid));
            format!(
                "{}: edgecore {agent}, containerd {runtime}, link {link}{shaped}, {}\n",
                edge.name, edge.dir
            )
        };
        self.edges.iter().map(line).collect::<Vec<_>>().concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge() -> EdgeStatus {
        EdgeStatus {
            name: "edge-1".into(),
            pid: None,
            containerd_pid: Some(7),
            netns: "n".into(),
            veth: "v".into(),
            link: LinkState::Hole,
            shaped: true,
            containerd: "/c.sock".into(),
            dir: "/d".into(),
        }
    }

    #[test]
    fn json_is_exactly_what_the_contract_names() {
        let cloud = Cloud {
            n: 1,
            pid: Some(5),
            connect: "wss://h:1/v1/connect".into(),
            metrics: "http://127.0.0.1:2".into(),
        };
        let status = Status {
            dir: "/lab".into(),
            kubeconfig: Some("/k".into()),
            clouds: vec![cloud],
            edges: vec![edge()],
        };
        let expected = concat!(
            r#"{"dir":"/lab","kubeconfig":"/k","#,
            r#""clouds":[{"n":1,"pid":5,"connect":"wss://h:1/v1/connect","metrics":"http://127.0.0.1:2"}],"#,
            r#""edges":[{"name":"edge-1","pid":null,"containerd_pid":7,"netns":"n","veth":"v","link":"hole","#,
            r#""shaped":true,"containerd":"/c.sock","dir":"/d"}]}"#
        );
        assert_eq!(serde_json::to_string(&status).unwrap(), expected);
    }

    #[test]
    fn a_lab_that_is_down_says_so() {
        let status = Status { dir: "/lab".into(), kubeconfig: None, clouds: vec![], edges: vec![] };
        assert_eq!(
            serde_json::to_string(&status).unwrap(),
            r#"{"dir":"/lab","kubeconfig":null,"clouds":[],"edges":[]}"#
        );
        assert_eq!(status.text(), "lab /lab: down\n");
        assert!(
            Status { edges: vec![edge()], ..status }
                .text()
                .contains("edgecore not running, containerd pid 7, link hole, shaped")
        );
    }
}
