//! A provider that misbehaves on request: iroh-blobs' own, writing to streams that flip bits, fall silent or are slow.
//!
//! Faults are counted over all streams of the node together, so that asking again does not get around them.

use std::{
    future::pending,
    io,
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc, Mutex,
    },
    time::Duration,
};

use bytes::Bytes;
use clap::Args;
use iroh::{
    endpoint::{Connection, VarInt},
    protocol::{AcceptError, ProtocolHandler},
};
use iroh_blobs::{
    api::Store,
    provider::{
        events::{ClientConnected, EventSender},
        handle_stream, StreamPair,
    },
    util::SendStream,
};
use tokio::time::Instant;

/// What is to go wrong.
#[derive(Args, Clone, Debug, Default)]
pub struct Faults {
    /// Flip a bit of every so manieth leaf
    #[arg(long)]
    flip: Option<u64>,
    /// Send nothing more after so many bytes, and keep the connection
    #[arg(long)]
    stop_after: Option<u64>,
    /// Bytes per second to send at most
    #[arg(long)]
    rate: Option<u64>,
}

impl Faults {
    pub fn any(&self) -> bool {
        self.flip.is_some() || self.stop_after.is_some() || self.rate.is_some()
    }
}

/// The blobs protocol with faults.
#[derive(Clone, Debug)]
pub struct FaultyBlobs {
    store: Store,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    faults: Faults,
    leaves: AtomicU64,
    sent: AtomicU64,
    free: Mutex<Option<Instant>>,
}

impl FaultyBlobs {
    pub fn new(store: &Store, faults: Faults) -> Self {
        Self {
            store: store.clone(),
            shared: Arc::new(Shared {
                faults,
                leaves: AtomicU64::new(0),
                sent: AtomicU64::new(0),
                free: Mutex::new(None),
            }),
        }
    }
}

impl ProtocolHandler for FaultyBlobs {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        let id = connection.stable_id() as u64;
        let events = EventSender::DEFAULT;
        events
            .client_connected(|| ClientConnected {
                connection_id: id,
                endpoint_id: Some(connection.remote_id()),
            })
            .await
            .ok();
        while let Ok((send, recv)) = connection.accept_bi().await {
            let send = Faulty {
                stream: send,
                shared: self.shared.clone(),
            };
            let pair = StreamPair::new(id, recv, send, events.clone());
            tokio::spawn(handle_stream(pair, self.store.clone()));
        }
        Ok(())
    }
}

/// A stream that is written to with faults.
struct Faulty {
    stream: iroh::endpoint::SendStream,
    shared: Arc<Shared>,
}

impl Faulty {
    /// Waits until `n` more bytes may be sent at the rate.
    async fn pace(&self, n: usize) {
        let Some(rate) = self.shared.faults.rate else {
            return;
        };
        let until = {
            let mut free = self.shared.free.lock().expect("not poisoned");
            let now = Instant::now();
            let until = free.map_or(now, |at| at.max(now))
                + Duration::from_secs_f64(n as f64 / rate as f64);
            *free = Some(until);
            until
        };
        tokio::time::sleep_until(until).await;
    }

    async fn write(&mut self, mut buf: &[u8]) -> io::Result<()> {
        let faults = &self.shared.faults;
        // At most a tenth of a second at once.
        let slice = faults
            .rate
            .map_or(usize::MAX, |rate| (rate as usize / 10).max(1));
        while !buf.is_empty() {
            let mut n = buf.len().min(slice);
            let before = self.shared.sent.fetch_add(n as u64, Ordering::SeqCst);
            if let Some(most) = faults.stop_after {
                n = n.min(most.saturating_sub(before) as usize);
                if n == 0 {
                    tokio::select! {
                        _ = self.stream.stopped() => return Err(io::ErrorKind::BrokenPipe.into()),
                        _ = pending::<()>() => unreachable!(),
                    }
                }
            }
            self.pace(n).await;
            self.stream.write_all(&buf[..n]).await?;
            buf = &buf[n..];
        }
        Ok(())
    }
}

impl SendStream for Faulty {
    async fn send_bytes(&mut self, bytes: Bytes) -> io::Result<()> {
        let count = self.shared.leaves.fetch_add(1, Ordering::SeqCst) + 1;
        match self.shared.faults.flip {
            Some(every) if count % every.max(1) == 0 && !bytes.is_empty() => {
                let mut wrong = bytes.to_vec();
                let at = wrong.len() / 2;
                wrong[at] ^= 1;
                self.write(&wrong).await
            }
            _ => self.write(&bytes).await,
        }
    }

    async fn send(&mut self, buf: &[u8]) -> io::Result<()> {
        self.write(buf).await
    }

    async fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn reset(&mut self, code: VarInt) -> io::Result<()> {
        Ok(self.stream.reset(code)?)
    }

    async fn stopped(&mut self) -> io::Result<Option<VarInt>> {
        Ok(self.stream.stopped().await?)
    }

    fn id(&self) -> u64 {
        self.stream.id().index()
    }
}
