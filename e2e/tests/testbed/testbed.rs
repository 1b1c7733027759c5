//! The testbed itself: nodes without control plane and agents. What later tests rely on is shown here: that a
//! power cut loses exactly what was never synced, and that links do what they are told.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use skerry_e2e::guard::TestLab;
use skerry_e2e::proc::Process;
use skerry_e2e::{Edge, Runtime, Shape, UpOptions, cri, host};

const SOON: Duration = Duration::from_secs(10);
const BUSYBOX: &str = "docker.io/library/busybox:latest";

fn bare(name: &str, edges: u32, runtime: Runtime) -> TestLab {
    let options =
        UpOptions { edges: Some(edges), runtime: Some(runtime), bare: true, ..UpOptions::default() };
    TestLab::up(name, &options).expect("the lab comes up")
}

/// Serves `page` of the edge's /srv-test at port 80 until the edge loses power.
fn serve(edge: &Edge, bytes: u64) -> SocketAddr {
    let script = format!(
        "mkdir -p /srv-test && head -c {bytes} /dev/zero >/srv-test/page && busybox httpd -p 80 -h /srv-test"
    );
    edge.exec(&["sh", "-c", &script]).expect("a web server on the edge");
    let address: Ipv4Addr = edge
        .exec(&["sh", "-c", "ip -4 -o address show dev eth0 | sed 's/.*inet //; s:/.*::'"])
        .expect("an address")
        .trim()
        .parse()
        .expect("an address");
    SocketAddr::from((address, 80))
}

fn reachable(at: SocketAddr) -> bool {
    TcpStream::connect_timeout(&at, Duration::from_millis(500)).is_ok()
}

/// Fetches the served page and returns how long that took.
fn fetch(at: SocketAddr) -> Duration {
    let start = host::now();
    host::run(&["curl", "-sf", "-m", "60", "-o", "/dev/null", &format!("http://{at}/page")])
        .expect("the page");
    host::now() - start
}

fn a_power_cut_loses_what_was_never_synced(name: &str, runtime: Runtime) {
    let lab = bare(name, 1, runtime);
    let edge = lab.edge("edge-1");
    edge.exec(&["ctr", "-n", "k8s.io", "run", "-d", BUSYBOX, "sleeper", "sleep", "1000"])
        .expect("a container runs");
    let write = "cd /var/lib/skerry && echo kept >kept && echo own >/only-on-the-node && sync -f . && \
                 echo lost >lost && echo x >/run/memory";
    edge.exec(&["sh", "-c", write]).expect("files are written");
    let before = edge.state().expect("its state");
    let boot_id = |edge: &Edge| edge.exec(&["cat", "/proc/sys/kernel/random/boot_id"]).expect("a boot id");
    let first_boot = boot_id(&edge);
    let init = before.boot.as_ref().expect("it is on").init;
    assert!(!Path::new("/only-on-the-node").exists(), "a node's files are its own");

    edge.power_off().expect("the power goes");
    assert!(!init.alive(), "everything of the node is dead");
    let error = edge.exec(&["true"]).expect_err("nothing runs on it").to_string();
    assert!(error.contains("powered off"), "{error}");
    assert_eq!(lab.status().edges[0].containerd_pid, None);

    edge.power_on().expect("the power comes back");
    assert_ne!(boot_id(&edge), first_boot);
    let files = edge.exec(&["sh", "-c", "cd /var/lib/skerry; cat kept; ls"]).expect("the disk is there");
    assert_eq!(files, "kept\nkept\n", "the synced file alone");
    assert_eq!(edge.exec(&["cat", "/only-on-the-node"]).expect("the root is on the disk too"), "own\n");
    edge.exec(&["test", "!", "-e", "/run/memory"]).expect("memory is empty");
    let uptime = edge.exec(&["cat", "/proc/uptime"]).expect("an uptime");
    assert!(uptime.split('.').next().expect("seconds").parse::<u32>().expect("seconds") < 60, "{uptime}");
    let tasks = edge.exec(&["ctr", "-n", "k8s.io", "tasks", "list", "-q"]).expect("ctr answers");
    assert_eq!(tasks, "", "no container runs after a power cut");
    let said = edge.exec(&["ctr", "-n", "k8s.io", "run", "--rm", BUSYBOX, "second", "echo", "again"]);
    assert_eq!(said.expect("images are still there"), "again\n");
    let version =
        cri::version(&edge.node().expect("it is on").containerd_socket()).expect("CRI answers the host");
    assert!(version.starts_with("containerd "), "{version}");
}

#[test]
fn a_power_cut_on_debians_containerd_loses_what_was_never_synced() {
    a_power_cut_loses_what_was_never_synced("power-debian", Runtime::Debian);
}

#[test]
fn a_power_cut_on_the_current_containerd_loses_what_was_never_synced() {
    a_power_cut_loses_what_was_never_synced("power-current", Runtime::Current);
}

#[test]
fn a_disk_survives_cuts_at_any_moment_of_writing() {
    let lab = bare("power-writing", 1, Runtime::Debian);
    let edge = lab.edge("edge-1");
    for round in 0..5 {
        // Each line is acknowledged only after its sync.
        let script = "n=0; while :; do n=$((n+1)); echo $n >/var/lib/skerry/n.new && sync /var/lib/skerry/n.new && \
                      mv /var/lib/skerry/n.new /var/lib/skerry/n && sync /var/lib/skerry && echo $n >/run/done; done";
        edge.exec(&["sh", "-c", &format!("({script}) >/dev/null 2>&1 &")]).expect("the writer starts");
        let done = edge.path("/run/done");
        let acknowledged = || -> u64 {
            std::fs::read_to_string(&done).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
        };
        host::wait("some writes", SOON, || Ok(acknowledged() > 20 + round * 7)).expect("the writer writes");
        let promised = acknowledged();
        edge.power_off().expect("the power goes");
        edge.power_on().expect("the power comes back");
        let kept: u64 = edge
            .exec(&["cat", "/var/lib/skerry/n"])
            .expect("the file is there")
            .trim()
            .parse()
            .expect("whole");
        assert!(kept >= promised, "{kept} on the disk, {promised} acknowledged");
        assert!(
            !edge.exec(&["dmesg"]).unwrap_or_default().contains("EXT4-fs error"),
            "the file system is sound"
        );
    }
}

#[test]
fn a_cut_or_swallowing_link_passes_nothing_and_healing_undoes_it() {
    let lab = bare("link", 2, Runtime::Debian);
    let (edge, other) = (lab.edge("edge-1"), lab.edge("edge-2"));
    let (at, other_at) = (serve(&edge, 10), serve(&other, 10));
    let gateway = lab.id().expect("its id").host_address().to_string();
    let ping = || edge.exec(&["busybox", "ping", "-c", "1", "-W", "1", &gateway]).is_ok();
    assert!(reachable(at) && reachable(other_at) && ping());

    edge.cut().expect("it cuts");
    assert!(!reachable(at) && !ping() && reachable(other_at), "one edge alone is cut");
    let link = edge.exec(&["ip", "-o", "link", "show", "eth0"]).expect("ip answers");
    assert!(link.contains("state DOWN"), "{link}");

    edge.power_off().expect("the power goes");
    edge.power_on().expect("the power comes back");
    let at_again = serve(&edge, 10);
    assert_eq!(at_again, at, "an edge keeps its address");
    assert!(!reachable(at), "a link stays cut across a reboot");
    edge.heal().expect("it heals");
    assert!(reachable(at) && ping());

    let before = edge.traffic().expect("counters");
    edge.hole().expect("it swallows");
    assert!(!reachable(at) && !ping() && reachable(other_at));
    let link = edge.exec(&["ip", "-o", "link", "show", "eth0"]).expect("ip answers");
    assert!(link.contains("LOWER_UP") && link.contains("state UP"), "no sign of it: {link}");
    let swallowed = edge.traffic().expect("counters").since(before);
    assert!(swallowed.to_edge > 0 && swallowed.from_edge == 0, "{swallowed:?}");
    edge.heal().expect("it heals");
    assert!(reachable(at) && ping());
}

#[test]
fn a_shape_holds_in_both_directions_and_ends_with_healing() {
    let lab = bare("shape", 1, Runtime::Debian);
    let edge = lab.edge("edge-1");
    let at = serve(&edge, 1_000_000);
    edge.shape(Shape { rate_kbit: 8_000, ..Shape::default() }).expect("it is shaped");
    // 1 MB at 8 Mbit/s takes at least a second, however fast or slow the machine is.
    assert!(fetch(at) >= Duration::from_millis(900));
    edge.shape(Shape { delay_ms: 100, loss: 1.0, reorder: 1.0, duplicate: 1.0, ..Shape::default() })
        .expect("anew");
    assert!(fetch(at) >= Duration::from_millis(400), "two round trips at least");
    edge.shape(Shape { loss: 100.0, ..Shape::default() }).expect("anew");
    assert!(!reachable(at) && lab.status().edges[0].shaped);
    for _ in 0..3 {
        edge.heal().expect("it heals");
        assert!(reachable(at) && !lab.status().edges[0].shaped);
        edge.shape(Shape { loss: 100.0, ..Shape::default() }).expect("anew");
        assert!(!reachable(at));
    }
}

#[test]
fn an_image_of_ones_own_files_reaches_present_and_future_edges() {
    let lab = bare("image", 1, Runtime::Debian);
    lab.add_image("greet:1", &[Path::new("/bin/busybox")]).expect("the image is made");
    lab.edge("edge-2").add().expect("an edge is added");
    for name in ["edge-1", "edge-2"] {
        let run = [
            "ctr",
            "-n",
            "k8s.io",
            "run",
            "--rm",
            "docker.io/library/greet:1",
            "g",
            "/busybox",
            "echo",
            "hello",
        ];
        assert_eq!(lab.edge(name).exec(&run).expect(name), "hello\n");
    }
    lab.edge("edge-2").rm().expect("an edge is removed");
    assert_eq!(lab.edge_names(), ["edge-1"]);
}

#[test]
fn nothing_is_left_after_down_even_without_its_directory() {
    let lab = bare("down", 1, Runtime::Debian);
    let edge = lab.edge("edge-1");
    edge.shape(Shape { delay_ms: 1, ..Shape::default() }).expect("it is shaped");
    let id = lab.id().expect("its id");
    let (boot, relay) =
        (edge.state().expect("its state").boot.expect("it is on"), edge.state().expect("its state").relay);
    std::fs::remove_file(lab.dir().join("lab.json")).expect("state lost");
    std::fs::remove_dir_all(lab.dir().join("edges")).expect("state lost");
    lab.down().expect("it goes down all the same");
    assert!(!boot.init.alive() && !boot.containerd.is_some_and(Process::alive));
    assert!(!relay.expect("a relay").alive());
    let said = |argv: &[&str]| host::run(argv).expect("it answers");
    for (text, what) in [
        (said(&["ip", "netns", "list"]), "namespaces"),
        (said(&["ip", "-o", "link", "show"]), "links"),
        (said(&["nft", "list", "tables"]), "tables"),
    ] {
        assert!(!text.contains(&id.id), "{what}: {text}");
    }
    assert!(!said(&["ip", "-4", "route"]).contains(&id.address(0).to_string()));
    assert!(!said(&["ip", "-4", "address"]).contains(&id.host_address().to_string()));
    assert_eq!(skerry_e2e::disk::loop_devices(lab.dir()), Vec::<String>::new());
    assert!(!std::fs::read_to_string("/proc/self/mounts").expect("mounts").contains(&id.id));
    assert_eq!(lab.status().edges, []);
    lab.down().expect("down twice is no error");
}
