//! The network without the store: single handshakes, raw request bytes, and an echo server.

use std::{path::PathBuf, time::Duration};

use anyhow::Context;
use data_encoding::HEXLOWER_PERMISSIVE as HEX;
use iroh::{
    endpoint::{Connection, ConnectionError, ReadError, RecvStream, SendStream},
    protocol::{AcceptError, ProtocolHandler, Router},
    Endpoint,
};
use iroh_blobs::Hash;
use serde_json::{json, Value};
use tokio::io::AsyncWriteExt;

use crate::node;

/// How `raw` speaks and how much it shows.
pub struct Raw {
    pub alpn: String,
    pub fin: bool,
    pub head: usize,
    pub limit: usize,
    pub out: Option<PathBuf>,
}

/// Sends each request on a stream of its own over one connection and reports each response.
pub async fn raw(
    network: &node::Network,
    target: &str,
    requests: &[String],
    options: Raw,
) -> anyhow::Result<Value> {
    let (endpoint, connection) = connect(network, target, &options.alpn).await?;
    let mut file = match &options.out {
        Some(path) => Some(tokio::fs::File::create(path).await?),
        None => None,
    };
    let mut responses = Vec::new();
    for request in requests {
        let text = match request.strip_prefix('@') {
            Some(file) => std::fs::read_to_string(file).context(file.to_owned())?,
            None => request.clone(),
        };
        let request = HEX.decode(text.as_bytes()).context("request is not hex")?;
        let (mut send, mut recv) = connection.open_bi().await?;
        send.write_all(&request).await?;
        if options.fin {
            send.finish()?;
        }
        let (body, end, code) = read_all(&mut recv, options.limit).await;
        if let Some(file) = &mut file {
            file.write_all(&body).await?;
        }
        responses.push(json!({
            "len": body.len(),
            "blake3": Hash::new(&body).to_hex().to_string(),
            "head": HEX.encode(&body[..body.len().min(options.head)]),
            "end": end,
            "code": code,
        }));
    }
    if let Some(mut file) = file {
        file.flush().await?;
    }
    connection.close(0u32.into(), b"done");
    endpoint.close().await;
    Ok(json!({ "responses": responses }))
}

/// Reads to the end of the stream; says how it ended and with which code.
async fn read_all(recv: &mut RecvStream, limit: usize) -> (Vec<u8>, &'static str, Option<u64>) {
    let mut body = Vec::new();
    loop {
        match recv.read_chunk(1 << 20).await {
            Ok(None) => return (body, "fin", None),
            Ok(Some(bytes)) if body.len() + bytes.len() > limit => return (body, "limit", None),
            Ok(Some(bytes)) => body.extend_from_slice(&bytes),
            Err(ReadError::Reset(code)) => return (body, "reset", Some(code.into_inner())),
            Err(ReadError::ConnectionLost(ConnectionError::ApplicationClosed(close))) => {
                return (body, "closed", Some(close.error_code.into_inner()))
            }
            Err(_) => return (body, "lost", None),
        }
    }
}

/// Shakes hands, optionally keeps the connection open for a while, and closes.
pub async fn dial(
    network: &node::Network,
    target: &str,
    alpn: &str,
    hold: Duration,
) -> anyhow::Result<Value> {
    let (endpoint, connection) = connect(network, target, alpn).await?;
    let closed = tokio::time::timeout(hold, connection.closed()).await;
    let value = json!({
        "remoteId": connection.remote_id().to_string(),
        "localId": endpoint.id().to_string(),
        "alpn": String::from_utf8_lossy(connection.alpn()),
        "closedBy": closed.ok().filter(|_| !hold.is_zero()).map(|cause| cause.to_string()),
    });
    connection.close(0u32.into(), b"done");
    endpoint.close().await;
    Ok(value)
}

async fn connect(
    network: &node::Network,
    target: &str,
    alpn: &str,
) -> anyhow::Result<(Endpoint, Connection)> {
    let addr = node::parse_target(target)?;
    let endpoint = node::bind(network, 0, vec![]).await?;
    let connection = endpoint.connect(addr, alpn.as_bytes()).await?;
    Ok((endpoint, connection))
}

/// Serves an echo on the given ALPNs until stdin is closed.
pub async fn echo(network: &node::Network, alpns: Vec<String>, port: u16) -> anyhow::Result<Value> {
    let wire = alpns.iter().map(|alpn| alpn.clone().into_bytes()).collect();
    let endpoint = node::bind(network, port, wire).await?;
    let addr = node::address(&endpoint, network);
    let mut router = Router::builder(endpoint);
    for alpn in alpns {
        router = router.accept(alpn.into_bytes(), Echo);
    }
    let router = router.spawn();
    println!(
        "{}",
        json!({
            "event": "ready",
            "endpointId": addr.id.to_string(),
            "addrs": addr.ip_addrs().map(|a| a.to_string()).collect::<Vec<_>>(),
        })
    );
    node::until_stdin_closes().await;
    router.shutdown().await.ok();
    Ok(json!({ "event": "closed" }))
}

#[derive(Debug, Clone)]
struct Echo;

impl ProtocolHandler for Echo {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        while let Ok((send, recv)) = connection.accept_bi().await {
            tokio::spawn(copy_back(send, recv));
        }
        Ok(())
    }
}

async fn copy_back(mut send: SendStream, mut recv: RecvStream) {
    while let Ok(Some(bytes)) = recv.read_chunk(1 << 16).await {
        if send.write_chunk(bytes).await.is_err() {
            return;
        }
    }
    send.finish().ok();
}
