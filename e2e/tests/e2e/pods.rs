//! What everyday pods carry, looked at from inside their containers and through the API server.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde_json::Value;
use skerry_e2e::view::{PodSeen, condition};

use crate::world::{EDGE, World, sleeper};

fn exec(world: &World, pod: &PodSeen, container: &str, script: &str) -> Result<String> {
    world.edge.exec_in(&pod.containers[container], &["sh", "-c", script])
}

fn environment(world: &World, pod: &PodSeen, container: &str) -> BTreeMap<String, String> {
    let text = exec(world, pod, container, "env").unwrap();
    text.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

#[test]
fn environment_and_volumes_are_as_upstream_makes_them() {
    let world = World::new("everyday");
    world.apply(include_str!("manifests/everyday.yaml"));
    let pod = world.ready("app=everyday", 1).remove(0);
    let env = environment(&world, &pod, "main");
    let node = world.lab.get(&["node", EDGE]).unwrap();
    let host_ip = pod.object.pointer("/status/hostIP").and_then(Value::as_str).unwrap_or_default();
    assert!(!host_ip.is_empty());
    for (name, value) in [
        ("PLAIN", "a-b"),
        ("FROM_MAP", "blue"),
        ("FROM_SECRET", "s3cret"),
        ("ALL_colour", "blue"),
        ("ALL_size", "7"),
        ("POD_NAME", "everyday"),
        ("POD_NAMESPACE", "everyday"),
        ("POD_UID", &pod.uid),
        ("NODE", EDGE),
        ("POD_IP", &pod.ip),
        ("HOST_IP", host_ip),
        ("LABEL", "everyday"),
        ("CPU_LIMIT", "500"),
        ("MEMORY", "64"),
        ("EXPANDED", "a-b and $(NOT_THIS) and $(UNKNOWN)"),
        ("BACKEND_SERVICE_PORT", "80"),
        ("BACKEND_PORT_80_TCP_PROTO", "tcp"),
        ("KUBERNETES_SERVICE_PORT", "443"),
    ] {
        assert_eq!(env.get(name).map(String::as_str), Some(value), "{name} in {env:?}");
    }
    assert_eq!(env["KUBERNETES_SERVICE_HOST"], "10.96.0.1");
    assert!(
        node.pointer("/spec/podCIDR")
            .and_then(Value::as_str)
            .is_some_and(|cidr| { cidr.rsplit_once('.').is_some_and(|(net, _)| pod.ip.starts_with(net)) }),
        "{} is not from the node's CIDR",
        pod.ip
    );
    assert_eq!(pod.object.pointer("/status/qosClass"), Some(&Value::from("Burstable")));
    look_around(&world, &pod);
}

/// What the container's own tools see.
fn look_around(world: &World, pod: &PodSeen) {
    let expect = |script: &str, wanted: &str| {
        let got = exec(world, pod, "main", script).unwrap();
        assert_eq!(got.trim_end(), wanted, "{script}");
    };
    expect("cat /map/renamed", "blue");
    expect("ls /map", "renamed");
    expect("stat -L -c %a /map/renamed", "440");
    expect("cat /secret/password", "s3cret");
    expect("cat /sub/file", "7");
    expect("cat /down/labels", "app=\"everyday\"");
    expect("cat /down/cpu", "500");
    expect("ls /var/run/secrets/kubernetes.io/serviceaccount", "ca.crt\nnamespace\ntoken");
    expect("cat /shared/init", "first second");
    expect("id -u", "1000");
    expect("id -g", "2000");
    expect("touch /shared/f && stat -c %g /shared/f", "3000");
    expect("touch /root-is-readonly 2>&1 | grep -c Read-only", "1");
    expect("hostname", "named");
    expect("pwd", "/tmp");
    expect("grep -c 'Seccomp:.2' /proc/1/status", "1");
    expect("grep CapEff /proc/1/status | tr -d '\\t'", "CapEff:0000000000000000");
    expect("grep NoNewPrivs /proc/1/status | tr -d '\\t'", "NoNewPrivs:1");
    expect("cat /sys/fs/cgroup/memory/memory.limit_in_bytes", "67108864");
    expect("grep -c 'options ndots:3' /etc/resolv.conf", "1");
    expect("grep -c '10.9.8.7.*alias.example' /etc/hosts", "1");
}

#[test]
fn files_change_in_place_and_optional_ones_may_be_absent() {
    let world = World::new("in-place");
    world.apply(include_str!("manifests/everyday.yaml"));
    let pod = world.ready("app=everyday", 1).remove(0);
    let life = pod.life();
    world.kubectl(&["patch", "configmap", "map", "-p", r#"{"data":{"colour":"red"}}"#]).unwrap();
    world.kubectl(&["patch", "secret", "secret", "-p", r#"{"stringData":{"password":"other"}}"#]).unwrap();
    world.wait("the new files", || {
        ensure!(exec(&world, &pod, "main", "cat /map/renamed")? == "red", "the ConfigMap's file is old");
        ensure!(exec(&world, &pod, "main", "cat /secret/password")? == "other", "the Secret's file is old");
        Ok(true)
    });
    world.kubectl(&["label", "pod", "everyday", "extra=yes"]).unwrap();
    world.wait("the new label", || {
        Ok(exec(&world, &pod, "main", "cat /down/labels")?.contains("extra=\"yes\""))
    });
    assert_eq!(world.pod("everyday").unwrap().life(), life);
}

#[test]
fn what_is_optional_comes_and_goes_with_its_object() {
    let world = World::new("optional");
    world.kubectl(&["create", "configmap", "goes", "--from-literal=file=one"]).unwrap();
    world.apply(&sleeper("reads", EDGE).replace(
        "command: [sleep, \"1000000\"]",
        "command: [sleep, \"1000000\"]\n    volumeMounts: [{name: goes, mountPath: /goes}, {name: comes, mountPath: /comes}]\n  \
         volumes:\n  - {name: goes, configMap: {name: goes, optional: true}}\n  - {name: comes, secret: {secretName: comes, optional: true}}",
    ));
    let life = world.ready("app=reads", 1).remove(0).life();
    let files = || world.kubectl(&["exec", "reads", "--", "ls", "/goes", "/comes"]);
    assert_eq!(files().unwrap(), "/comes:\n\n/goes:\nfile\n");
    world.kubectl(&["delete", "configmap", "goes"]).unwrap();
    world.kubectl(&["create", "secret", "generic", "comes", "--from-literal=file=two"]).unwrap();
    world.wait("one gone, the other there", || Ok(files()? == "/comes:\nfile\n\n/goes:\n"));
    assert_eq!(world.pod("reads").unwrap().life(), life);
}

#[test]
fn probes_hooks_and_restarts_tell_what_happened() {
    let world = World::new("lives");
    world.apply(include_str!("manifests/lives.yaml"));
    world.wait("the liveness probe restarts", || {
        let pod = world.pod("unwell")?;
        ensure!(pod.restarts >= 1, "{} restarts", pod.restarts);
        let last = pod.object.pointer("/status/containerStatuses/0/lastState/terminated/exitCode");
        ensure!(last.is_some(), "no last state");
        Ok(true)
    });
    world.wait("a crash loop is called one", || {
        let pod = world.pod("crashes")?;
        ensure!(pod.waiting() == "CrashLoopBackOff", "{}", pod.waiting());
        let last = pod
            .object
            .pointer("/status/containerStatuses/0/lastState/terminated")
            .cloned()
            .unwrap_or_default();
        ensure!(
            last["exitCode"] == 3 && last["message"] == "because\n" && last["reason"] == "Error",
            "{last}"
        );
        Ok(true)
    });
    world.wait("success", || {
        let pod = world.pod("succeeds")?;
        Ok(pod.phase == "Succeeded" && pod.object.to_string().contains("\"reason\":\"Completed\""))
    });
    world.wait("failure", || Ok(world.pod("fails")?.phase == "Failed"));
    world.wait("the deadline", || {
        let pod = world.pod("late")?;
        Ok(pod.phase == "Failed"
            && pod.object.pointer("/status/reason") == Some(&Value::from("DeadlineExceeded")))
    });
    world.wait("never pulled", || Ok(world.pod("no-image")?.waiting() == "ErrImageNeverPull"));
    world.wait("a startup probe holds readiness back and lets go", || Ok(world.pod("starts")?.ready));
    let started = world.pod("starts").unwrap();
    assert_eq!(exec(&world, &started, "main", "cat /tmp/post-start").unwrap().trim(), "hooked");
    // preStop runs before the end, and the grace period is kept.
    world.kubectl(&["delete", "pod", "polite", "--wait=false"]).unwrap();
    world.wait("preStop's mark on the node", || {
        Ok(world.edge.exec(&["cat", "/var/lib/skerry-polite/stopped"])?.trim() == "hook term")
    });
    world.wait("it is gone", || Ok(world.pods("app=polite").is_empty()));
    world.edge.exec(&["rm", "-rf", "/var/lib/skerry-polite"]).unwrap();
}

#[test]
fn a_daemonset_on_the_hosts_network_and_a_host_port_answer() {
    let world = World::new("host-net");
    world.apply(include_str!("manifests/host-net.yaml"));
    let daemon = world.ready("app=daemon", 1).remove(0);
    let mapped = world.ready("app=mapped", 1).remove(0);
    assert_eq!(daemon.object.pointer("/status/hostIP"), daemon.object.pointer("/status/podIP"));
    world.wait("both answer", || {
        ensure!(world.edge.http_get("http://127.0.0.1:18080/hostname").is_ok(), "the host's network");
        let host = daemon.ip.clone();
        ensure!(world.edge.http_get(&format!("http://{host}:18081/hostname")).is_ok(), "the host port");
        ensure!(
            world.edge.http_get(&format!("http://{}:8080/hostname", mapped.ip)).is_ok(),
            "the pod itself"
        );
        Ok(true)
    });
    let processes = exec(&world, &daemon, "main", "ps -o comm | grep -c containerd").unwrap();
    assert_ne!(processes.trim(), "0", "hostPID shows the node's processes");
}

#[test]
fn host_paths_are_what_they_must_be_and_names_lead_to_pods() {
    let world = World::new("host-paths");
    world.apply(include_str!("manifests/host-paths.yaml"));
    let pod = world.ready("app=paths", 1).remove(0);
    let expect = |script: &str, wanted: &str| {
        assert_eq!(exec(&world, &pod, "main", script).unwrap().trim_end(), wanted, "{script}");
    };
    expect("ls -d /directory/hosts", "/directory/hosts");
    expect("touch /directory/x 2>&1 | grep -c Read-only", "1");
    expect("echo deep >/made-directory/f && cat /anything/made/deep/f", "deep");
    expect("test -f /file && echo file", "file");
    expect("echo kept >/made-file && cat /anything/file", "kept");
    expect("test -S /socket && echo socket", "socket");
    expect("test -c /device && echo device", "device");
    expect("hostname", "member.family.host-paths.svc.cluster.local");
    let line = format!("{}\tmember.family.host-paths.svc.cluster.local\tmember", pod.ip);
    assert!(exec(&world, &pod, "main", "cat /etc/hosts").unwrap().lines().any(|found| found == line));
    expect("ps -o args | grep -c 'sleep [12]000000'", "2");

    let message = |name: &str| -> Result<String> {
        let events = world.lab.get(&[
            "events",
            "-n",
            "host-paths",
            "--field-selector",
            &format!("involvedObject.name={name},reason=FailedMount"),
        ])?;
        Ok(events.pointer("/items/0/message").and_then(Value::as_str).unwrap_or_default().to_owned())
    };
    world.wait("the wrong type told of", || {
        Ok(message("not-a-directory")?
            .contains("hostPath type check failed: /etc/hostname is not a directory"))
    });
    world.wait("the absent file told of", || {
        Ok(message("absent-file")?
            .contains("hostPath type check failed, /var/lib/skerry-paths/later is not a file"))
    });
    assert_eq!(world.pod("not-a-directory").unwrap().waiting(), "ContainerCreating");
    // It comes, and the pod goes on by itself.
    world.edge.exec(&["touch", "/var/lib/skerry-paths/later"]).unwrap();
    world.ready("app=absent-file", 1);
    world.edge.exec(&["rm", "-rf", "/var/lib/skerry-paths"]).unwrap();
}

#[test]
fn the_node_says_what_it_is_and_has() {
    let world = World::new("node-object");
    let node = world.lab.get(&["node", EDGE]).unwrap();
    for kind in ["MemoryPressure", "DiskPressure", "PIDPressure"] {
        assert_eq!(condition(&node, kind).unwrap()["status"], "False", "{kind}");
    }
    let labels = &node["metadata"]["labels"];
    for (name, value) in [
        ("kubernetes.io/hostname", EDGE),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", "amd64"),
        ("node-role.kubernetes.io/edge", ""),
    ] {
        assert_eq!(labels[name], value, "{name}");
    }
    for resource in ["cpu", "memory", "pods", "ephemeral-storage"] {
        assert!(node.pointer(&format!("/status/allocatable/{resource}")).is_some(), "{resource}");
    }
}
