//! Frames both ways, order, back pressure.

use link::{Config, LinkError};

use crate::rig::{Rig, ends, soon};

#[tokio::test]
async fn the_cloud_knows_who_connected_and_frames_pass_both_ways() {
    let mut rig = Rig::new(Config::default()).await;
    let (edge, cloud) = rig.pair(&Config::default()).await;
    assert_eq!(cloud.peer.identity.as_ref().unwrap().node, "edge-1");
    assert_eq!(edge.peer.identity, None);
    let (edge, cloud) = (edge.split(), cloud.split());
    let (edge_out, mut edge_in, _edge_streams) = edge;
    let (cloud_out, mut cloud_in, _cloud_streams) = cloud;
    edge_out.send(b"hello".to_vec()).await.unwrap();
    assert_eq!(soon(cloud_in.recv()).await.unwrap().unwrap(), b"hello");
    cloud_out.send(b"welcome".to_vec()).await.unwrap();
    cloud_out.send(Vec::new()).await.unwrap();
    cloud_out.send_urgent(b"beat".to_vec()).await.unwrap();
    let mut got = Vec::new();
    for _ in 0..3 {
        got.push(soon(edge_in.recv()).await.unwrap().unwrap());
    }
    // The urgent one may come before or between; the others keep their order.
    got.retain(|frame| frame != b"beat");
    assert_eq!(got, [b"welcome".to_vec(), Vec::new()]);
    assert!(edge_out.bytes_sent() > 0 && edge_out.bytes_received() > 0);
}

#[tokio::test]
async fn long_frames_arrive_whole_and_in_order_though_nobody_takes_them_at_first() {
    let (_rig, (edge_out, _edge_in, _edge_streams), (_cloud_out, mut cloud_in, _cloud_streams)) =
        ends().await;
    let frames: Vec<Vec<u8>> =
        (0_u8..24).map(|n| vec![n; 1 + usize::from(n) * 60_000]).chain([vec![7; wire::MAX_FRAME]]).collect();
    let sending = async {
        for frame in &frames {
            edge_out.send(frame.clone()).await.unwrap();
        }
    };
    let receiving = async {
        for frame in &frames {
            let got = cloud_in.recv().await.unwrap().unwrap();
            assert!(got == *frame, "{} bytes of {}", got.len(), frame.len());
        }
    };
    soon(async { tokio::join!(sending, receiving) }).await;
}

#[tokio::test]
async fn a_receiver_that_takes_nothing_stops_the_sender() {
    let (_rig, (edge_out, mut edge_in, _edge_streams), (cloud_out, _cloud_in, _cloud_streams)) = ends().await;
    let mut sent = 0_u64;
    // The sender stops when every buffer between is full. Those are ours (bounded) and the kernel's (a few MB).
    let stopped = loop {
        let send =
            tokio::time::timeout(std::time::Duration::from_millis(300), cloud_out.send(vec![0; 100_000]));
        match send.await {
            Ok(done) => done.unwrap(),
            Err(_) => break true,
        }
        sent += 1;
        if sent > 1_000 {
            break false;
        }
    };
    assert!(stopped, "100 MB were taken by a receiver that takes nothing");
    for _ in 0..sent {
        assert_eq!(soon(edge_in.recv()).await.unwrap().unwrap().len(), 100_000);
    }
    soon(cloud_out.send(vec![1])).await.unwrap();
    drop(edge_out);
}

#[tokio::test]
async fn what_is_too_long_is_refused_before_it_is_sent() {
    let (_rig, (edge_out, _edge_in, _edge_streams), _cloud) = ends().await;
    let limit = wire::MAX_FRAME;
    assert_eq!(
        edge_out.send(vec![0; limit + 1]).await.unwrap_err(),
        LinkError::TooLong { length: limit + 1, limit }
    );
    assert!(matches!(edge_out.send_urgent(vec![0; 20_000]).await, Err(LinkError::TooLong { .. })));
}

#[tokio::test]
async fn a_frame_too_long_for_the_receiver_ends_the_session_with_the_reason_on_both_sides() {
    let mut rig = Rig::new(Config { max_frame: 1_000, ..Config::default() }).await;
    let (edge, cloud) = rig.pair(&Config::default()).await;
    let (edge_out, mut edge_in, _edge_streams) = edge.split();
    let (_cloud_out, mut cloud_in, _cloud_streams) = cloud.split();
    edge_out.send(vec![0; 1_000]).await.unwrap();
    edge_out.send(vec![0; 1_001]).await.unwrap();
    assert_eq!(soon(cloud_in.recv()).await.unwrap().unwrap().len(), 1_000);
    let error = soon(cloud_in.recv()).await.unwrap_err();
    assert!(matches!(&error, LinkError::Malformed(why) if why.contains("1000")), "{error}");
    assert_eq!(soon(edge_in.recv()).await.unwrap(), None);
    let reason = edge_in.close_reason().unwrap();
    assert!(reason.contains("longer than the limit of 1000"), "{reason}");
}
