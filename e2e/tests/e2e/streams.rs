//! Streams of kubectl on links that are full or half-open, and very many of them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use skerry_e2e::host;
use skerry_e2e::shape::Shape;

use crate::kubectl::{Going, command, forward, talker};
use crate::outage::epoch;
use crate::world::{EDGE, PATIENCE, World, incompressible, sleeper, soak, web};

#[test]
fn a_stream_that_fills_the_link_is_in_nobodys_way() {
    let world = World::new("streams-full");
    talker(&world, "talks", "echo here; sleep 1000000");
    let listens = "command: [sh, -c, \"while read line; do echo heard $line; done\"]\n    stdin: true";
    world.apply(&sleeper("listens", EDGE).replace("command: [sleep, \"1000000\"]", listens));
    world.apply(&web("web", 1, EDGE));
    world.ready("app=listens", 1);
    let web = world.ready("app=web", 1).remove(0);
    let before = epoch(&world).unwrap();
    world.edge.shape(Shape { rate_kbit: 1000, ..Shape::default() }).unwrap();
    // More than the link can carry for as long as this takes.
    let mut greedy = Going::start(&world, &["exec", "talks", "--", "cat", "/dev/zero"]);
    greedy.fill();
    for _ in 0..3 {
        assert_eq!(world.kubectl(&["logs", "talks"]).unwrap(), "here\n");
        assert_eq!(world.kubectl(&["exec", "talks", "--", "echo", "hello"]).unwrap(), "hello\n");
    }
    let mut attached = Going::start(&world, &["attach", "-i", "listens"]);
    attached.say("you\n");
    assert_eq!(attached.line(), "heard you");
    drop(attached);
    let (there, back) = (world.lab.dir().join("full-there"), world.lab.dir().join("full-back"));
    std::fs::write(&there, incompressible(3, 16 << 10, 0..=127)).unwrap();
    world.kubectl(&["cp", there.to_str().unwrap(), "talks:/tmp/file"]).unwrap();
    world.kubectl(&["cp", "talks:/tmp/file", back.to_str().unwrap()]).unwrap();
    assert!(
        std::fs::read(&there).unwrap() == std::fs::read(&back).unwrap(),
        "it came back as something else"
    );
    let (_forwarding, url) = forward(&world, &web.name);
    assert_eq!(host::finish(Command::new("curl").args(["-sf", "--max-time", "60", &url])).unwrap(), "one\n");
    let raw =
        |path: &str| world.lab.kubectl(&["get", "--raw", &format!("/api/v1/nodes/{EDGE}/proxy/{path}")]);
    assert_eq!(raw("healthz").unwrap(), "ok");
    let metrics = raw("metrics/resource").unwrap();
    assert!(metrics.contains("container_memory_working_set_bytes{container=\"main\""), "{metrics}");
    // What is wanted comes beside it: a container put beside another, a pod, and its status back.
    let image =
        ["--image=docker.io/library/busybox:latest", "--image-pull-policy=IfNotPresent", "-c", "looker"];
    world.kubectl(&[&["debug", "talks"], &image[..], &["--", "echo", "seen"]].concat()).unwrap();
    world.wait("it has run", || Ok(world.kubectl(&["logs", "talks", "-c", "looker"])? == "seen\n"));
    talker(&world, "comes", "sleep 1000000");
    assert_eq!(epoch(&world).unwrap(), before, "it was one session all the time");
    drop(greedy);
    world.edge.heal().unwrap();
}

#[test]
fn a_copy_ends_with_a_link_that_is_half_open() {
    let world = World::new("streams-hole");
    talker(&world, "keeps", "sleep 1000000");
    let edge = world.edge.edgecore().unwrap().pid;
    let before = descriptors(edge);
    world.kubectl(&["exec", "keeps", "--", "truncate", "-s", "8G", "/tmp/big"]).unwrap();
    let here = world.lab.dir().join("cp-cut");
    let copying = Going::start(&world, &["cp", "keeps:/tmp/big", here.to_str().unwrap()]);
    world.wait("the copy has begun", || Ok(std::fs::metadata(&here).is_ok_and(|file| file.len() > 1 << 20)));
    world.edge.hole().unwrap();
    // Nobody says that the link is gone; both sides find out.
    let (code, told) = copying.end();
    assert!(code != Some(0), "it took what came for all of it: {told}");
    std::fs::remove_file(&here).unwrap();
    world.edge.heal().unwrap();
    world.lab.wait_node(EDGE, "True", PATIENCE).unwrap();
    world.wait("it answers again", || Ok(world.kubectl(&["exec", "keeps", "--", "true"]).is_ok()));
    // What ran in the container is the runtime's; the streams to it have ended on both sides.
    no_call(&world);
    world.wait("no descriptor is left", || {
        let now = descriptors(edge);
        ensure!(now <= before + 5, "{before} before, {now} now");
        Ok(true)
    });
}

/// Waits until no call is under way.
fn no_call(world: &World) {
    world.wait("no call is under way", || {
        Ok(world.lab.metrics(1)?.count("skerry_kubelet_calls_active", &[]) == 0)
    });
}

/// Descriptors of a process.
fn descriptors(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

#[test]
fn streams_that_are_opened_and_left_leave_nothing() {
    let world = World::new("streams-left");
    talker(&world, "talks", "while :; do echo here; sleep 0.1; done");
    let mut proxy = Going::start_proxy(&world);
    let port: String =
        proxy.line().strip_prefix("Starting to serve on 127.0.0.1:").context("no port").unwrap().to_owned();
    let path = "/api/v1/namespaces/streams-left/pods/talks/log?follow=true";
    let open = || -> Result<TcpStream> {
        let mut stream = TcpStream::connect(format!("127.0.0.1:{port}"))?;
        stream.set_read_timeout(Some(Duration::from_mins(1)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let mut first = [0; 12];
        stream.read_exact(&mut first)?;
        ensure!(&first == b"HTTP/1.1 200", "{:?}", String::from_utf8_lossy(&first));
        Ok(stream)
    };
    let cloud = world.lab.clouds().into_iter().next().and_then(|cloud| cloud.process).unwrap().pid;
    let edge = world.edge.edgecore().unwrap().pid;
    // A hundred at once, which all get something.
    let many: Vec<_> = (0..100).map(|_| open().unwrap()).collect();
    drop(many);
    no_call(&world);
    let before = (descriptors(cloud), descriptors(edge));
    for _ in 0..if soak() { 10_000 } else { 500 } {
        drop(open().unwrap());
    }
    no_call(&world);
    world.wait("no descriptor is left", || {
        let now = (descriptors(cloud), descriptors(edge));
        ensure!(now.0 <= before.0 + 5 && now.1 <= before.1 + 5, "{before:?} before, {now:?} now");
        Ok(true)
    });
    assert_eq!(command(&world, &["exec", "talks", "--", "true"]).status().unwrap().code(), Some(0));
}
