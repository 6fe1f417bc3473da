//! Endpoint, store and addresses: everything here is bound to 127.0.0.1.

use std::{net::SocketAddr, str::FromStr};

use anyhow::Context;
use iroh::{endpoint::presets, Endpoint, EndpointAddr, EndpointId, RelayMode, SecretKey};
use iroh_blobs::{
    api::Store,
    store::{fs::FsStore, mem::MemStore},
    ticket::BlobTicket,
};
use tokio::io::AsyncReadExt;

/// Binds an endpoint on 127.0.0.1 with no relay and no address lookup.
pub async fn bind(
    secret: Option<&str>,
    port: u16,
    alpns: Vec<Vec<u8>>,
) -> anyhow::Result<Endpoint> {
    let mut builder = Endpoint::builder(presets::Minimal)
        .relay_mode(RelayMode::Disabled)
        .clear_ip_transports()
        .bind_addr(SocketAddr::from(([127, 0, 0, 1], port)))?
        .alpns(alpns);
    if let Some(text) = secret {
        builder = builder.secret_key(SecretKey::from_str(text).context("secret key")?);
    }
    Ok(builder.bind().await?)
}

/// The address others dial: the id with the sockets that are really bound.
pub fn address(endpoint: &Endpoint) -> EndpointAddr {
    endpoint
        .bound_sockets()
        .into_iter()
        .fold(EndpointAddr::new(endpoint.id()), |addr, socket| {
            addr.with_ip_addr(socket)
        })
}

/// Opens the FsStore at a folder, or a memory store for `mem`.
pub async fn open_store(place: &str) -> anyhow::Result<Store> {
    if place == "mem" {
        return Ok(MemStore::new().into());
    }
    let store = FsStore::load(place).await.context("open store")?;
    Ok(store.into())
}

/// A blob ticket, or `ID@IP:PORT`.
pub fn parse_target(text: &str) -> anyhow::Result<EndpointAddr> {
    if let Ok(ticket) = BlobTicket::from_str(text) {
        return Ok(ticket.addr().clone());
    }
    let (id, socket) = text
        .split_once('@')
        .context("neither a blob ticket nor ID@IP:PORT")?;
    let id = EndpointId::from_str(id).context("endpoint id")?;
    let socket = SocketAddr::from_str(socket).context("socket address")?;
    Ok(EndpointAddr::new(id).with_ip_addr(socket))
}

/// Waits until whoever started us closes our stdin (or dies).
pub async fn until_stdin_closes() {
    let mut stdin = tokio::io::stdin();
    let mut buffer = [0u8; 256];
    while let Ok(n) = stdin.read(&mut buffer).await {
        if n == 0 {
            return;
        }
    }
}
