//! Endpoint, store and addresses: everything here is bound to one address, and knows no relay but the one it was given.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    sync::Arc,
};

use anyhow::Context;
use iroh::{
    endpoint::{presets, Connection, PortmapperConfig},
    tls::CaTlsConfig,
    Endpoint, EndpointAddr, EndpointId, RelayMap, RelayMode, RelayUrl, SecretKey, TransportAddr,
};
use iroh_blobs::{
    api::Store,
    store::{fs::FsStore, mem::MemStore},
    ticket::BlobTicket,
};
use rustls::crypto::ring;
use tokio::io::AsyncReadExt;

use crate::lookup::Lookup;

/// How a node takes part in the network.
pub struct Network {
    /// Secret key in hex; a random one without it.
    pub secret: Option<String>,
    /// The one relay it uses.
    pub relay: Option<RelayUrl>,
    /// Without sockets of its own: everything goes through the relay.
    pub relay_only: bool,
    /// File with the certificate (DER) that the relay is trusted by.
    pub relay_ca: Option<PathBuf>,
    /// Address of its socket.
    pub bind: IpAddr,
    /// Its first key share is of P-256, with X25519 as a second choice.
    pub prefer_p256: bool,
    /// Where it publishes its addresses and finds those of others.
    pub lookup: Lookup,
}

/// Binds an endpoint, which looks for no router to map ports (that would be a multicast), and waits for the relay if there is one.
pub async fn bind(network: &Network, port: u16, alpns: Vec<Vec<u8>>) -> anyhow::Result<Endpoint> {
    let mode = match &network.relay {
        Some(url) => RelayMode::Custom(RelayMap::from(url.clone())),
        None => RelayMode::Disabled,
    };
    let mut builder = Endpoint::builder(presets::Minimal)
        .relay_mode(mode)
        .portmapper_config(PortmapperConfig::Disabled)
        .clear_ip_transports()
        .alpns(alpns);
    builder = network.lookup.add(builder)?;
    if !network.relay_only {
        builder = builder.bind_addr(SocketAddr::new(network.bind, port))?;
    }
    if let Some(file) = &network.relay_ca {
        let root = std::fs::read(file).context("--relay-ca")?;
        builder = builder.ca_tls_config(CaTlsConfig::custom_roots([root.into()]));
    }
    if let Some(text) = &network.secret {
        builder = builder.secret_key(SecretKey::from_str(text).context("secret key")?);
    }
    if network.prefer_p256 {
        let mut provider = ring::default_provider();
        provider.kx_groups = vec![ring::kx_group::SECP256R1, ring::kx_group::X25519];
        builder = builder.crypto_provider(Arc::new(provider));
    }
    let endpoint = builder.bind().await?;
    if network.relay.is_some() {
        endpoint.online().await;
    }
    Ok(endpoint)
}

/// The address others dial: the id with the relay and the sockets that are really bound.
pub fn address(endpoint: &Endpoint, network: &Network) -> EndpointAddr {
    let mut addr = EndpointAddr::new(endpoint.id());
    if let Some(url) = &network.relay {
        addr = addr.with_relay_url(url.clone());
    }
    endpoint
        .bound_sockets()
        .into_iter()
        .fold(addr, |addr, socket| addr.with_ip_addr(socket))
}

/// What a connection goes over: a socket address, or a relay's URL.
pub fn path(connection: &Connection) -> Option<String> {
    let paths = connection.paths();
    let selected = paths.iter().find(|path| path.is_selected())?;
    Some(match selected.remote_addr() {
        TransportAddr::Relay(url) => url.to_string(),
        TransportAddr::Ip(addr) => addr.to_string(),
        other => format!("{other:?}"),
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

/// A blob ticket, or `ID@IP:PORT`, or `ID@URL` of a relay, or an endpoint id alone.
pub fn parse_target(text: &str) -> anyhow::Result<EndpointAddr> {
    if let Ok(ticket) = BlobTicket::from_str(text) {
        return Ok(ticket.addr().clone());
    }
    if let Ok(id) = EndpointId::from_str(text) {
        return Ok(EndpointAddr::new(id));
    }
    let (id, socket) = text
        .split_once('@')
        .context("neither a blob ticket nor ID@IP:PORT nor ID@URL nor ID")?;
    let id = EndpointId::from_str(id).context("endpoint id")?;
    if socket.contains("://") {
        let relay = RelayUrl::from_str(socket).context("relay")?;
        return Ok(EndpointAddr::new(id).with_relay_url(relay));
    }
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
