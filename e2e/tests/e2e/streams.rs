//! Streams of kubectl on links that are full or half-open, and very many of them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use skerry_e2e::shape::Shape;

use crate::kubectl::{Going, command, talker};
use crate::outage::epoch;
use crate::world::{EDGE, PATIENCE, World, soak};

#[test]
fn a_stream_that_fills_the_link_is_in_nobodys_way() {
    let world = World::new("streams-full");
    talker(&world, "talks", "echo here; sleep 1000000");
    let before = epoch(&world).unwrap();
    world.edge.shape(Shape { rate_kbit: 1000, ..Shape::default() }).unwrap();
    // More than the link can carry for as long as this takes.
    let mut greedy = Going::start(&world, &["exec", "talks", "--", "cat", "/dev/zero"]);
    greedy.fill();
    for _ in 0..3 {
        assert_eq!(world.kubectl(&["logs", "talks"]).unwrap(), "here\n");
        assert_eq!(world.kubectl(&["exec", "talks", "--", "echo", "hello"]).unwrap(), "hello\n");
    }
    // What is wanted comes beside it: a pod, and its status back.
    talker(&world, "comes", "sleep 1000000");
    assert_eq!(epoch(&world).unwrap(), before, "it was one session all the time");
    drop(greedy);
    world.edge.heal().unwrap();
}

#[test]
fn a_copy_ends_with_a_link_that_is_half_open() {
    let world = World::new("streams-hole");
    talker(&world, "keeps", "sleep 1000000");
    let mut greedy = Going::start(&world, &["exec", "keeps", "--", "cat", "/dev/zero"]);
    greedy.fill();
    world.edge.hole().unwrap();
    // Nobody says that the link is gone; both sides find out.
    greedy.drain_to_the_end();
    world.edge.heal().unwrap();
    world.lab.wait_node(EDGE, "True", PATIENCE).unwrap();
    world.wait("it answers again", || Ok(world.kubectl(&["exec", "keeps", "--", "true"]).is_ok()));
    let left = || world.edge.exec(&["sh", "-c", "pgrep -xf 'cat /dev/zero' | wc -l"]);
    world.wait("what ran in it has ended", || Ok(left()?.trim() == "0"));
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
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let mut first = [0; 12];
        stream.read_exact(&mut first)?;
        ensure!(&first == b"HTTP/1.1 200", "{:?}", String::from_utf8_lossy(&first));
        Ok(stream)
    };
    let none = || {
        world.wait("no call is under way", || {
            Ok(world.lab.metrics(1)?.count("skerry_kubelet_calls_active", &[]) == 0)
        });
    };
    let cloud = world.lab.clouds().into_iter().next().and_then(|cloud| cloud.process).unwrap().pid;
    let edge = world.edge.edgecore().unwrap().pid;
    // A hundred at once, which all get something.
    let many: Vec<_> = (0..100).map(|_| open().unwrap()).collect();
    drop(many);
    none();
    let before = (descriptors(cloud), descriptors(edge));
    for _ in 0..if soak() { 10_000 } else { 500 } {
        drop(open().unwrap());
    }
    none();
    world.wait("no descriptor is left", || {
        let now = (descriptors(cloud), descriptors(edge));
        ensure!(now.0 <= before.0 + 5 && now.1 <= before.1 + 5, "{before:?} before, {now:?} now");
        Ok(true)
    });
    assert_eq!(command(&world, &["exec", "talks", "--", "true"]).status().unwrap().code(), Some(0));
}
