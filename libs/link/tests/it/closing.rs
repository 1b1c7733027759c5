//! How connections end.

use std::time::Duration;

use link::{Config, LinkError};

use crate::rig::{Rig, ends, soon};

#[tokio::test]
async fn a_close_comes_after_what_was_sent_and_both_sides_know_the_reason() {
    let (_rig, (edge_out, mut edge_in, _edge_streams), (cloud_out, mut cloud_in, _cloud_streams)) =
        ends().await;
    cloud_out.send(b"go away".to_vec()).await.unwrap();
    let closing = cloud_out.close("draining");
    let receiving = async {
        assert_eq!(edge_in.recv().await.unwrap().unwrap(), b"go away");
        assert_eq!(edge_in.recv().await.unwrap(), None);
        assert_eq!(edge_in.close_reason().unwrap(), "draining");
    };
    soon(async { tokio::join!(closing, receiving) }).await;
    assert_eq!(soon(cloud_in.recv()).await.unwrap(), None);
    assert_eq!(cloud_in.close_reason().unwrap(), "draining");
    assert_eq!(cloud_out.send(vec![1]).await.unwrap_err(), LinkError::Closed("draining".to_owned()));
    assert_eq!(edge_out.send_urgent(vec![1]).await.unwrap_err(), LinkError::Closed("draining".to_owned()));
}

#[tokio::test]
async fn a_reason_too_long_for_a_close_is_cut_between_characters() {
    let (_rig, (_edge_out, mut edge_in, _edge_streams), (cloud_out, _cloud_in, _cloud_streams)) =
        ends().await;
    let reason = "ü".repeat(100);
    soon(async { tokio::join!(cloud_out.close(&reason), edge_in.recv()) }).await.1.unwrap();
    assert_eq!(edge_in.close_reason().unwrap(), "ü".repeat(61));
}

#[tokio::test]
async fn dropping_the_receiver_ends_the_connection_and_its_task() {
    let (rig, edge, cloud) = ends().await;
    let (_cloud_out, mut cloud_in, _cloud_streams) = cloud;
    drop(edge);
    assert_eq!(soon(cloud_in.recv()).await.unwrap(), None);
    soon(async {
        while rig.listener.connections() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn silence_is_noticed_by_both_sides_on_their_clocks() {
    let (edge_clock, cloud_clock) =
        (kit::Clock::manual(kit::WallTime(0)), kit::Clock::manual(kit::WallTime(0)));
    let mut rig = Rig::new(Config { clock: cloud_clock.clone(), ..Config::default() }).await;
    let (edge, cloud) = rig.pair(&Config { clock: edge_clock.clone(), ..Config::default() }).await;
    let (edge_out, mut edge_in, _edge_streams) = edge.split();
    let (_cloud_out, mut cloud_in, _cloud_streams) = cloud.split();
    // A byte 20 s later is life.
    edge_clock.advance(Duration::from_secs(20));
    cloud_clock.advance(Duration::from_secs(20));
    edge_out.send_urgent(b"beat".to_vec()).await.unwrap();
    assert_eq!(soon(cloud_in.recv()).await.unwrap().unwrap(), b"beat");
    // The cloud heard 20 s ago, the edge 40 s ago: only the edge gives up, and says so.
    edge_clock.advance(Duration::from_secs(20));
    cloud_clock.advance(Duration::from_secs(20));
    let error = soon(edge_in.recv()).await.unwrap_err();
    assert_eq!(error, LinkError::Silent(Duration::from_secs(25)));
    assert_eq!(soon(cloud_in.recv()).await.unwrap(), None);
    assert!(cloud_in.close_reason().unwrap().contains("nothing was heard"));
}

#[tokio::test]
async fn a_close_that_the_peer_never_answers_is_over_in_its_time() {
    let clock = kit::Clock::manual(kit::WallTime(0));
    let mut rig = Rig::new(Config { clock: clock.clone(), ..Config::default() }).await;
    // The edge's connection is never split, so nothing reads or answers there.
    let (_edge, cloud) = rig.pair(&Config::default()).await;
    let (cloud_out, mut cloud_in, _cloud_streams) = cloud.split();
    let closing = cloud_out.close("enough");
    tokio::pin!(closing);
    let passing = async {
        loop {
            clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
    };
    soon(async {
        tokio::select! {
            () = &mut closing => {}
            () = passing => {}
        }
    })
    .await;
    assert_eq!(soon(cloud_in.recv()).await.unwrap(), None);
    assert_eq!(cloud_in.close_reason().unwrap(), "enough");
}
