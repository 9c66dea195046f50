//! A proxy between a client and a server that counts round trips, and connections that die.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub struct TcpProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    round_trip: Duration,
    trips: AtomicU64,
    connections: Mutex<Vec<Arc<Passing>>>,
}

#[derive(Default)]
struct Passing {
    /// Whether the last bytes came from the client.
    client_spoke: AtomicBool,
    /// The bytes of both sides get lost, and nothing says so.
    is_swallowed: AtomicBool,
    /// The next answer of the server gets lost, and the connection with it.
    loses_answer: AtomicBool,
    closed: CancellationToken,
}

impl TcpProxy {
    /// To a server on a port of this machine.
    pub async fn start(server: u16) -> Self {
        Self::start_far(server, Duration::ZERO).await
    }

    /// To a server that is a round trip of this time away.
    pub async fn start_far(server: u16, round_trip: Duration) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let shared = Arc::new(Shared { round_trip, ..Shared::default() });
        let address = listener.local_addr().unwrap();
        let accepted = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await.unwrap();
                let passing = Arc::<Passing>::default();
                accepted.connections.lock().unwrap().push(Arc::clone(&passing));
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let shared = Some(Arc::clone(&accepted));
                tokio::spawn(pass(from_client, to_server, Arc::clone(&passing), shared));
                tokio::spawn(pass(from_server, to_client, passing, None));
            }
        });
        Self { address, shared, accepting }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How often a client has spoken after its server did.
    pub fn round_trips(&self) -> u64 {
        self.shared.trips.load(Ordering::SeqCst)
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.shared.connections.lock().unwrap().len()
    }

    /// The connections so far go silent, as if something on the way had forgotten them.
    pub fn swallow_present(&self) {
        for passing in self.shared.connections.lock().unwrap().iter() {
            passing.is_swallowed.store(true, Ordering::SeqCst);
        }
    }

    /// The connections so far end when the server has answered, and its answer gets lost.
    pub fn lose_next_answer(&self) {
        for passing in self.shared.connections.lock().unwrap().iter() {
            passing.loses_answer.store(true, Ordering::SeqCst);
        }
    }

    /// Closes the connections so far, and accepts no more.
    pub fn stop(&self) {
        self.accepting.abort();
        self.close_present();
    }

    /// Closes the connections so far.
    pub fn close_present(&self) {
        for passing in self.shared.connections.lock().unwrap().iter() {
            passing.closed.cancel();
        }
    }
}

/// `shared` is that of the direction from the client.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    passing: Arc<Passing>,
    shared: Option<Arc<Shared>>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            () = passing.closed.cancelled() => return,
        };
        let Ok(bytes @ 1..) = read else { return };
        if passing.is_swallowed.load(Ordering::SeqCst) {
            continue;
        }
        if shared.is_none() && passing.loses_answer.load(Ordering::SeqCst) {
            passing.closed.cancel();
            return;
        }
        let spoke_before = passing.client_spoke.swap(shared.is_some(), Ordering::SeqCst);
        if let Some(shared) = shared.as_ref().filter(|_| !spoke_before) {
            shared.trips.fetch_add(1, Ordering::SeqCst);
            if !shared.round_trip.is_zero() {
                tokio::time::sleep(shared.round_trip).await;
            }
        }
        if to.write_all(&buffer[..bytes]).await.is_err() {
            return;
        }
    }
}
