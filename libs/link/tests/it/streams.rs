//! Byte streams inside the link.

use link::{LinkError, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::rig::{ends, soon};

async fn read_all(stream: &mut Stream) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await?;
    Ok(all)
}

#[tokio::test]
async fn a_request_and_its_answer() {
    let (_rig, edge, cloud) = ends().await;
    let (_edge_out, _edge_in, mut edge_streams) = edge;
    let (_cloud_out, _cloud_in, cloud_streams) = cloud;
    let asking = async {
        let mut stream = cloud_streams.open().await.unwrap();
        stream.write_all(b"question").await.unwrap();
        stream.shutdown().await.unwrap();
        read_all(&mut stream).await.unwrap()
    };
    let answering = async {
        let mut stream = edge_streams.accept().await.unwrap().unwrap();
        let question = read_all(&mut stream).await.unwrap();
        stream.write_all(&[b"answer to ", question.as_slice()].concat()).await.unwrap();
        stream.shutdown().await.unwrap();
    };
    let (answer, ()) = soon(async { tokio::join!(asking, answering) }).await;
    assert_eq!(answer, b"answer to question");
}

#[tokio::test]
async fn much_data_both_ways_at_once() {
    let (_rig, edge, cloud) = ends().await;
    let (_edge_out, _edge_in, mut edge_streams) = edge;
    let (_cloud_out, _cloud_in, cloud_streams) = cloud;
    let data: Vec<u8> = (0_u32..3_000_000).map(|n| u8::try_from(n % 253).unwrap()).collect();
    let pump = async |stream: Stream| {
        let (mut read, mut write) = tokio::io::split(stream);
        let writing = async {
            write.write_all(&data).await.unwrap();
            write.shutdown().await.unwrap();
        };
        let mut got = Vec::new();
        let (read, ()) = tokio::join!(read.read_to_end(&mut got), writing);
        read.unwrap();
        assert!(got == data, "{} bytes", got.len());
    };
    let cloud = async { pump(cloud_streams.open().await.unwrap()).await };
    let edge = async { pump(edge_streams.accept().await.unwrap().unwrap()).await };
    soon(async { tokio::join!(cloud, edge) }).await;
}

#[tokio::test]
async fn a_stream_that_nobody_reads_holds_back_no_other_and_no_frame() {
    let (_rig, edge, cloud) = ends().await;
    let (_edge_out, mut edge_in, mut edge_streams) = edge;
    let (cloud_out, _cloud_in, cloud_streams) = cloud;
    let mut stuck = cloud_streams.open().await.unwrap();
    let written = std::cell::Cell::new(0_usize);
    let filling = async {
        loop {
            stuck.write_all(&[0; 1024]).await.unwrap();
            written.set(written.get() + 1024);
        }
    };
    let work = async {
        let _unread = edge_streams.accept().await.unwrap().unwrap();
        // The writer stops at its window: while it is stuck, ten other streams and a frame pass.
        for _ in 0..10 {
            let (opened, accepted) = tokio::join!(cloud_streams.open(), edge_streams.accept());
            let (mut opened, mut accepted) = (opened.unwrap(), accepted.unwrap().unwrap());
            let writing = async {
                opened.write_all(&vec![1; 200_000]).await.unwrap();
                opened.shutdown().await.unwrap();
            };
            let ((), got) = tokio::join!(writing, read_all(&mut accepted));
            assert_eq!(got.unwrap().len(), 200_000);
        }
        cloud_out.send(b"frame".to_vec()).await.unwrap();
        assert_eq!(edge_in.recv().await.unwrap().unwrap(), b"frame");
    };
    soon(async {
        tokio::select! {
            () = filling => {}
            () = work => {}
        }
    })
    .await;
    assert!(written.get() <= 128 * 1024, "{} bytes were taken for a stream that nobody reads", written.get());
}

#[tokio::test]
async fn an_aborted_stream_is_an_error_at_the_other_end_and_leaves_nothing() {
    let (_rig, edge, cloud) = ends().await;
    let (_edge_out, _edge_in, mut edge_streams) = edge;
    let (_cloud_out, _cloud_in, cloud_streams) = cloud;
    // More than may be open at once: each must be gone before the later ones open.
    for round in 0..200 {
        let (opened, accepted) =
            soon(async { tokio::join!(cloud_streams.open(), edge_streams.accept()) }).await;
        let (mut opened, mut accepted) = (opened.unwrap(), accepted.unwrap().unwrap());
        opened.write_all(b"x").await.unwrap();
        if round % 2 == 0 {
            drop(opened);
            assert!(soon(read_all(&mut accepted)).await.is_err());
        } else {
            drop(accepted);
            assert!(soon(read_all(&mut opened)).await.is_err());
        }
    }
}

#[tokio::test]
async fn streams_end_with_the_connection_and_only_the_cloud_opens() {
    let (_rig, edge, cloud) = ends().await;
    let (_edge_out, edge_in, mut edge_streams) = edge;
    let (_cloud_out, _cloud_in, mut cloud_streams) = cloud;
    assert_eq!(edge_streams.open().await.unwrap_err(), LinkError::WrongEnd("open"));
    assert_eq!(cloud_streams.accept().await.unwrap_err(), LinkError::WrongEnd("accept"));
    let (opened, accepted) = soon(async { tokio::join!(cloud_streams.open(), edge_streams.accept()) }).await;
    let (mut opened, mut accepted) = (opened.unwrap(), accepted.unwrap().unwrap());
    drop(edge_in);
    assert!(soon(read_all(&mut opened)).await.is_err());
    assert!(soon(read_all(&mut accepted)).await.is_err());
    assert!(soon(edge_streams.accept()).await.unwrap().is_none());
    assert!(soon(cloud_streams.open()).await.is_err());
}

#[tokio::test]
async fn an_edge_that_accepts_nothing_refuses() {
    let (_rig, edge, cloud) = ends().await;
    let (_edge_out, _edge_in, edge_streams) = edge;
    let (_cloud_out, _cloud_in, cloud_streams) = cloud;
    drop(edge_streams);
    let mut stream = soon(cloud_streams.open()).await.unwrap();
    assert!(soon(read_all(&mut stream)).await.is_err());
}
