//! What is in front of a heartbeat, in bytes: a relay between both ends passes exactly as many as it is allowed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kit::tasks::Group;
use link::{Config, FrameReceiver, FrameSender, Streams};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;

use crate::rig::{End, Rig, endpoint, soon};

/// The most that may be in front of a heartbeat: what the kernel was given (16 KiB unsent, and what is on its way to
/// the relay's small buffer), one message in TLS and websocket, and the relay's own buffers.
const MOST: u64 = 160 * 1024;

/// Bytes that certainly lie between the cloud and the relay when the cloud writes all it can.
const BETWEEN: u64 = 12 * 1024;

/// Passes everything from the edge, and from the cloud what it is allowed.
struct Relay {
    address: SocketAddr,
    allowed: Arc<Semaphore>,
    passed: Arc<AtomicU64>,
    _group: Group,
}

impl Relay {
    async fn new(cloud: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (allowed, passed) = (Arc::new(Semaphore::new(64 * 1024)), Arc::new(AtomicU64::new(0)));
        let group = Group::new("relay", 1);
        let (may, count) = (Arc::clone(&allowed), Arc::clone(&passed));
        group.spawn(async move {
            let (edge, _) = listener.accept().await.unwrap();
            let socket = TcpSocket::new_v4().unwrap();
            // What lies in the relay's own receive buffer is in front too: keep it small.
            socket.set_recv_buffer_size(8 * 1024).unwrap();
            let cloud = socket.connect(cloud).await.unwrap();
            SockRef::from(&edge).set_send_buffer_size(8 * 1024).unwrap();
            let (edge_read, mut edge_write) = tokio::io::split(edge);
            let (cloud_read, mut cloud_write) = tokio::io::split(cloud);
            let up = async {
                let mut edge_read: ReadHalf<TcpStream> = edge_read;
                let _ = tokio::io::copy(&mut edge_read, &mut cloud_write).await;
            };
            let down = async {
                let mut cloud_read: ReadHalf<TcpStream> = cloud_read;
                let mut buffer = vec![0; 1024];
                loop {
                    let Ok(permit) = may.acquire_many(1024).await else { return };
                    permit.forget();
                    let Ok(read) = cloud_read.read(&mut buffer).await else { return };
                    if read == 0 {
                        return;
                    }
                    may.add_permits(1024 - read);
                    if edge_write.write_all(&buffer[..read]).await.is_err() {
                        return;
                    }
                    count.fetch_add(read as u64, Ordering::SeqCst);
                }
            };
            tokio::join!(up, down);
        });
        Self { address, allowed, passed, _group: group }
    }

    fn passed(&self) -> u64 {
        self.passed.load(Ordering::SeqCst)
    }

    /// Passes so many bytes more, stands, and returns when the cloud has filled what is between.
    async fn saturated(&self, bytes: u64, cloud: &FrameSender) {
        let target = self.passed() + bytes;
        self.allowed.add_permits(usize::try_from(bytes).unwrap());
        // Permits left over from before may let a little more pass; a read takes at most 1 KiB of them.
        while self.passed() + 1024 < target || cloud.bytes_sent() < self.passed() + BETWEEN {
            tokio::task::yield_now().await;
        }
    }

    /// Passes more, a little at a time, until the frame is there; how many bytes that took.
    async fn until(&self, input: &mut FrameReceiver, frame: &[u8]) -> u64 {
        let before = self.passed();
        loop {
            self.allowed.add_permits(4 * 1024);
            let waited = tokio::time::timeout(Duration::from_millis(40), input.recv()).await;
            match waited {
                Ok(got) if got.as_ref().unwrap().as_deref() == Some(frame) => return self.passed() - before,
                Ok(got) => drop(got.unwrap()),
                Err(_) => assert!(self.passed() - before < 4 * MOST, "the frame does not come"),
            }
        }
    }
}

async fn through_relay() -> (Rig, Relay, End, End) {
    let mut rig = Rig::new(Config::default()).await;
    let relay = Relay::new(rig.listener.address()).await;
    let (edge, cloud) = rig.pair_through(&endpoint(relay.address), &Config::default()).await;
    (rig, relay, edge.split(), cloud.split())
}

/// Streams that both ends are busy with: enough that their windows are no limit.
const STREAMS: usize = 20;

/// Writes 5 MB to each of 20 streams, which the edge reads as fast as it gets them.
async fn stream_100_mb(cloud: &Streams, edge: &mut Streams) {
    let writing = futures::future::join_all((0..STREAMS).map(async |_| {
        let mut stream = cloud.open().await.unwrap();
        let chunk = vec![0; 64 * 1024];
        for _ in 0..80 {
            stream.write_all(&chunk).await.unwrap();
        }
    }));
    let mut accepted = Vec::new();
    let reading = async {
        while accepted.len() < STREAMS {
            accepted.push(edge.accept().await.unwrap().unwrap());
        }
        let reads = accepted.iter_mut().map(async |stream| {
            tokio::io::copy(stream, &mut tokio::io::sink()).await.unwrap();
        });
        futures::future::join_all(reads).await;
    };
    tokio::join!(writing, reading);
    unreachable!("100 MB passed a relay that stands");
}

#[tokio::test]
async fn a_heartbeat_overtakes_streams_of_100_mb() {
    let (_rig, relay, edge, cloud) = through_relay().await;
    let (_edge_out, mut edge_in, mut edge_streams) = edge;
    let (cloud_out, _cloud_in, cloud_streams) = cloud;
    let beating = async {
        relay.saturated(1024 * 1024, &cloud_out).await;
        cloud_out.send_urgent(b"beat".to_vec()).await.unwrap();
        relay.until(&mut edge_in, b"beat").await
    };
    let in_front = soon(async {
        tokio::select! {
            () = stream_100_mb(&cloud_streams, &mut edge_streams) => 0,
            bytes = beating => bytes,
        }
    })
    .await;
    assert!(in_front > 0 && in_front <= MOST, "{in_front} bytes in front of a heartbeat");
}

#[tokio::test]
async fn a_heartbeat_overtakes_a_frame_of_3_mb_and_a_frame_overtakes_streams() {
    let (_rig, relay, edge, cloud) = through_relay().await;
    let (_edge_out, mut edge_in, mut edge_streams) = edge;
    let (cloud_out, _cloud_in, cloud_streams) = cloud;
    let work = async {
        relay.saturated(512 * 1024, &cloud_out).await;
        cloud_out.send(b"small".to_vec()).await.unwrap();
        let frame = relay.until(&mut edge_in, b"small").await;
        cloud_out.send(vec![0; 3 * 1024 * 1024]).await.unwrap();
        relay.saturated(256 * 1024, &cloud_out).await;
        cloud_out.send_urgent(b"beat".to_vec()).await.unwrap();
        (frame, relay.until(&mut edge_in, b"beat").await)
    };
    let (frame, beat) = soon(async {
        tokio::select! {
            () = stream_100_mb(&cloud_streams, &mut edge_streams) => (0, 0),
            both = work => both,
        }
    })
    .await;
    assert!(frame > 0 && frame <= MOST, "{frame} bytes in front of a frame");
    assert!(beat > 0 && beat <= MOST, "{beat} bytes in front of a heartbeat");
}
