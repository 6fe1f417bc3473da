//! The requests besides Get: Push, Observe and GetMany, as requester; and a node that takes pushes.

use std::{collections::BTreeMap, path::PathBuf, str::FromStr, time::Instant};

use anyhow::Context;
use clap::Subcommand;
use iroh::{endpoint::Connection, protocol::Router, Endpoint};
use iroh_blobs::{
    api::{blobs::Bitfield, Store},
    hashseq::HashSeq,
    protocol::{ChunkRangesSeq, GetManyRequest, GetRequest, ObserveRequest, PushRequest},
    provider::events::{EventMask, EventSender, RequestMode},
    BlobFormat, BlobsProtocol, Hash, HashAndFormat,
};
use serde_json::{json, Value};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::{content, node};

#[derive(Subcommand)]
pub enum Command {
    /// Serve a store that anybody may push into, until stdin is closed
    Sink {
        #[arg(long, default_value = "mem")]
        store: String,
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
    /// Import a file or folder and push it; wait until the target has what comes last
    Push {
        /// Blob ticket, or ID@IP:PORT
        target: String,
        path: PathBuf,
        /// Do not ask the target whether it has it
        #[arg(long)]
        blind: bool,
        #[arg(long, default_value_t = 60)]
        timeout: u64,
    },
    /// Print what the target has of a blob as it grows, until it is complete or so many items came
    Observe {
        target: String,
        hash: String,
        #[arg(long, default_value_t = u64::MAX)]
        count: u64,
        #[arg(long, default_value_t = 60)]
        timeout: u64,
    },
    /// Fetch blobs by one GetMany request
    GetMany {
        target: String,
        hashes: Vec<String>,
        #[arg(long, default_value_t = 60)]
        timeout: u64,
    },
}

impl Command {
    pub async fn run(self, network: &node::Network) -> anyhow::Result<Value> {
        match self {
            Command::Sink { store, port } => sink(network, &store, port).await,
            Command::Push {
                target,
                path,
                blind,
                timeout,
            } => crate::within(timeout, push(network, &target, path, blind)).await,
            Command::Observe {
                target,
                hash,
                count,
                timeout,
            } => crate::within(timeout, observe(network, &target, &hash, count)).await,
            Command::GetMany {
                target,
                hashes,
                timeout,
            } => crate::within(timeout, get_many(network, &target, &hashes)).await,
        }
    }
}

/// Serves with pushes allowed. Each line on stdin that is a hash is answered by what the store has of it.
async fn sink(network: &node::Network, store: &str, port: u16) -> anyhow::Result<Value> {
    let store = node::open_store(store).await?;
    let endpoint = node::bind(network, port, vec![iroh_blobs::ALPN.to_vec()]).await?;
    let addr = node::address(&endpoint, network);
    let mask = EventMask {
        push: RequestMode::None,
        ..EventMask::DEFAULT
    };
    let (events, mut heard) = EventSender::channel(32, mask);
    tokio::spawn(async move { while heard.recv().await.is_some() {} });
    let router = Router::builder(endpoint)
        .accept(iroh_blobs::ALPN, BlobsProtocol::new(&store, Some(events)))
        .spawn();
    println!(
        "{}",
        json!({
            "event": "ready",
            "endpointId": addr.id.to_string(),
            "addrs": addr.ip_addrs().map(|a| a.to_string()).collect::<Vec<_>>(),
        })
    );
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Ok(hash) = Hash::from_str(line.trim()) {
            println!("{}", describe(&store.observe(hash).await?));
        }
    }
    router.shutdown().await.ok();
    store.shutdown().await.ok();
    Ok(json!({ "event": "closed" }))
}

async fn push(
    network: &node::Network,
    target: &str,
    path: PathBuf,
    blind: bool,
) -> anyhow::Result<Value> {
    let store = node::open_store("mem").await?;
    let item = content::import_path(&store, &path, false).await?;
    let (endpoint, connection) = connect(network, target).await?;
    let hash = item.content.hash;
    let request = match item.content.format {
        BlobFormat::Raw => GetRequest::blob(hash),
        BlobFormat::HashSeq => GetRequest::all(hash),
    };
    let start = Instant::now();
    store
        .remote()
        .execute_push(connection.clone(), PushRequest::from(request))
        .complete()
        .await
        .map_err(|error| anyhow::anyhow!("push: {error:#}"))?;
    if blind {
        // Nothing tells when the last byte has arrived, so the other side has to end it.
        connection.closed().await;
    } else {
        let last = last_of(&store, &item.content).await?;
        watch(&store, &connection, last, u64::MAX, false).await?;
    }
    let seconds = start.elapsed().as_secs_f64();
    close(connection, endpoint).await;
    Ok(json!({
        "hash": hash.to_hex().to_string(),
        "size": item.bytes,
        "files": item.files,
        "seconds": seconds,
    }))
}

/// What arrives last: the last child of a hash sequence, or the blob itself.
async fn last_of(store: &Store, content: &HashAndFormat) -> anyhow::Result<Hash> {
    if content.format == BlobFormat::Raw {
        return Ok(content.hash);
    }
    let data = store.get_bytes(content.hash).await?;
    let sequence = HashSeq::try_from(data).map_err(|error| anyhow::anyhow!("{error:#}"))?;
    sequence.iter().last().context("empty hash sequence")
}

async fn observe(
    network: &node::Network,
    target: &str,
    hash: &str,
    count: u64,
) -> anyhow::Result<Value> {
    let hash = Hash::from_str(hash).context("hash")?;
    let (endpoint, connection) = connect(network, target).await?;
    let store = node::open_store("mem").await?;
    let (items, sum) = watch(&store, &connection, hash, count, true).await?;
    close(connection, endpoint).await;
    Ok(json!({ "items": items, "sum": describe(&sum) }))
}

/// Adds up the items of an observation until the blob is complete or `count` came.
async fn watch(
    store: &Store,
    connection: &Connection,
    hash: Hash,
    count: u64,
    show: bool,
) -> anyhow::Result<(Vec<Value>, Bitfield)> {
    use futures_lite::StreamExt;
    let stream = store
        .remote()
        .observe(connection.clone(), ObserveRequest::new(hash));
    tokio::pin!(stream);
    let mut items = Vec::new();
    let mut sum = Bitfield::empty();
    for _ in 0..count {
        let item = stream.next().await.context("observation ends")??;
        if show {
            items.push(describe(&item));
        }
        sum.update(&item);
        if sum.is_complete() {
            break;
        }
    }
    Ok((items, sum))
}

fn describe(bitfield: &Bitfield) -> Value {
    let bounds: Vec<u64> = bitfield.ranges.boundaries().iter().map(|b| b.0).collect();
    json!({ "size": bitfield.size(), "ranges": bounds, "complete": bitfield.is_complete() })
}

async fn get_many(
    network: &node::Network,
    target: &str,
    hashes: &[String],
) -> anyhow::Result<Value> {
    let hashes = hashes
        .iter()
        .map(|text| Hash::from_str(text).context("hash"))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let store = node::open_store("mem").await?;
    let (endpoint, connection) = connect(network, target).await?;
    let request = GetManyRequest::new(hashes.clone(), ChunkRangesSeq::all());
    let result = store
        .remote()
        .execute_get_many(connection.clone(), request)
        .complete()
        .await;
    let stats = result.map_err(|error| anyhow::anyhow!("get many: {error:#}"))?;
    let mut sizes = BTreeMap::new();
    for hash in hashes {
        let data = store.get_bytes(hash).await?;
        anyhow::ensure!(Hash::new(&data) == hash, "{hash} is damaged");
        sizes.insert(hash.to_hex().to_string(), data.len());
    }
    close(connection, endpoint).await;
    Ok(json!({ "sizes": sizes, "payloadRead": stats.payload_bytes_read }))
}

async fn connect(network: &node::Network, target: &str) -> anyhow::Result<(Endpoint, Connection)> {
    let addr = node::parse_target(target)?;
    let endpoint = node::bind(network, 0, vec![]).await?;
    let connection = endpoint.connect(addr, iroh_blobs::ALPN).await?;
    Ok((endpoint, connection))
}

async fn close(connection: Connection, endpoint: Endpoint) {
    connection.close(0u32.into(), b"done");
    endpoint.close().await;
}
