//! Finding endpoints by their id alone: a pkarr relay, a DNS origin, mDNS. None is used unless its flag is given.

use std::net::SocketAddr;

use anyhow::Context;
use clap::Args;
use iroh::{
    address_lookup::{AddrFilter, DnsAddressLookup, PkarrPublisher, PkarrResolver},
    dns::DnsResolver,
    endpoint::Builder,
};
use iroh_mdns_address_lookup::MdnsAddressLookup;

/// Flags of every command.
#[derive(Args, Debug, Default)]
pub struct Lookup {
    /// Publish all addresses to the pkarr relay at this URL, and resolve from it
    #[arg(long, global = true)]
    pkarr: Option<String>,
    /// Resolve by DNS below this origin
    #[arg(long, global = true, requires = "dns_server")]
    dns_origin: Option<String>,
    /// Name server for every DNS lookup
    #[arg(long, global = true)]
    dns_server: Option<SocketAddr>,
    /// Announce and resolve by multicast DNS
    #[arg(long, global = true)]
    mdns: bool,
}

impl Lookup {
    /// Adds these lookups to an endpoint in the making.
    pub fn add(&self, mut builder: Builder) -> anyhow::Result<Builder> {
        if let Some(server) = self.dns_server {
            builder = builder.dns_resolver(DnsResolver::with_nameserver(server));
        }
        if let Some(url) = &self.pkarr {
            let publisher = PkarrPublisher::builder(url.parse().context("--pkarr")?);
            builder = builder
                .address_lookup(publisher.addr_filter(AddrFilter::unfiltered()))
                .address_lookup(PkarrResolver::builder(url.parse().context("--pkarr")?));
        }
        if let Some(origin) = &self.dns_origin {
            builder = builder.address_lookup(DnsAddressLookup::builder(origin.clone()));
        }
        if self.mdns {
            builder = builder.address_lookup(MdnsAddressLookup::builder());
        }
        Ok(builder)
    }
}
