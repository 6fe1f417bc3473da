//! A real iroh-blobs node for tests: one program that serves, fetches, imports and probes.
//!
//! It binds one address, 127.0.0.1 unless another is given, uses no relay and no address lookup but those that it is told, and prints one JSON
//! object a line on stdout. Errors are `{"error": text}` on stdout with exit status 1; usage errors are clap's (2).
//! Whoever starts it owns its life: `serve` and `echo` end when stdin is closed.

mod content;
mod faulty;
mod lookup;
mod node;
mod probe;
mod requests;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use serde_json::{json, Value};

#[derive(Parser)]
#[command(about = "A real iroh-blobs node for tests, on 127.0.0.1 unless told otherwise")]
struct Args {
    /// Secret key, 64 hex characters (a random one without it)
    #[arg(long, global = true)]
    secret: Option<String>,
    /// The relay to use, such as http://127.0.0.1:3340/ (none without it)
    #[arg(long, global = true)]
    relay: Option<iroh::RelayUrl>,
    /// Only through the relay, without sockets of its own
    #[arg(long, global = true, requires = "relay")]
    relay_only: bool,
    /// Certificate (DER) that the relay is trusted by, instead of those of the public authorities
    #[arg(long, global = true)]
    relay_ca: Option<PathBuf>,
    /// The address to bind
    #[arg(long, global = true, default_value = "127.0.0.1")]
    bind: std::net::IpAddr,
    /// Send a key share of P-256 first, so that a server without P-256 has to ask for another
    #[arg(long, global = true)]
    prefer_p256: bool,
    #[command(flatten)]
    lookup: lookup::Lookup,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Import files (raw blobs) and folders (collections) and serve them until stdin is closed
    Serve {
        /// Folder of an FsStore, or `mem`
        #[arg(long, default_value = "mem")]
        store: String,
        /// Reference files in place instead of copying them
        #[arg(long)]
        reference: bool,
        /// UDP port (0 takes a free one)
        #[arg(long, default_value_t = 0)]
        port: u16,
        #[command(flatten)]
        faults: faulty::Faults,
        paths: Vec<PathBuf>,
    },
    /// Fetch a blob or a hash sequence with its children, and export it
    Fetch {
        #[arg(long, default_value = "mem")]
        store: String,
        ticket: String,
        /// Target file (raw) or folder (collection), or `none`
        #[arg(long, default_value = "none")]
        out: String,
        #[arg(long, default_value_t = 600)]
        timeout: u64,
    },
    /// Import one file or folder into an FsStore, nothing else
    Import {
        #[arg(long)]
        store: String,
        #[arg(long)]
        reference: bool,
        path: PathBuf,
    },
    /// Send request bytes (hex, or @FILE with hex) on a stream each, in order, and print what comes back
    Raw {
        /// Blob ticket, or ID@IP:PORT, or ID@URL of a relay, or ID when there is an address lookup
        target: String,
        #[arg(long, required = true)]
        request: Vec<String>,
        #[arg(long, default_value = "/iroh-bytes/4")]
        alpn: String,
        /// Leave the send side open
        #[arg(long)]
        no_fin: bool,
        /// Bytes of each response to print as hex
        #[arg(long, default_value_t = 4096)]
        head: usize,
        /// Most bytes of each response to read
        #[arg(long, default_value_t = 256 << 20)]
        limit: usize,
        /// Also write the responses, one after the other, to this file
        #[arg(long)]
        out: Option<PathBuf>,
        #[arg(long, default_value_t = 30)]
        timeout: u64,
    },
    /// Only shake hands, and say how it went
    Dial {
        target: String,
        #[arg(long, default_value = "/iroh-bytes/4")]
        alpn: String,
        /// Seconds to keep the connection open afterwards
        #[arg(long, default_value_t = 0)]
        hold: u64,
        #[arg(long, default_value_t = 15)]
        timeout: u64,
    },
    /// Accept connections and send every byte of every stream back, until stdin is closed
    Echo {
        #[arg(long, required = true)]
        alpn: Vec<String>,
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
    #[command(flatten)]
    Requests(requests::Command),
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(args).await {
        Ok(value) => {
            println!("{value}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{}", json!({ "error": format!("{error:#}") }));
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> anyhow::Result<Value> {
    let network = &node::Network {
        secret: args.secret,
        relay: args.relay,
        relay_only: args.relay_only,
        relay_ca: args.relay_ca,
        bind: args.bind,
        prefer_p256: args.prefer_p256,
        lookup: args.lookup,
    };
    match args.command {
        Command::Serve {
            store,
            reference,
            port,
            faults,
            paths,
        } => content::serve(network, &store, reference, port, faults, paths).await,
        Command::Fetch {
            store,
            ticket,
            out,
            timeout,
        } => {
            let work = content::fetch(network, &store, &ticket, &out);
            within(timeout, work).await
        }
        Command::Import {
            store,
            reference,
            path,
        } => content::import(&store, reference, path).await,
        Command::Raw {
            target,
            request,
            alpn,
            no_fin,
            head,
            limit,
            out,
            timeout,
        } => {
            let options = probe::Raw {
                alpn,
                fin: !no_fin,
                head,
                limit,
                out,
            };
            within(timeout, probe::raw(network, &target, &request, options)).await
        }
        Command::Dial {
            target,
            alpn,
            hold,
            timeout,
        } => {
            within(
                timeout,
                probe::dial(network, &target, &alpn, Duration::from_secs(hold)),
            )
            .await
        }
        Command::Echo { alpn, port } => probe::echo(network, alpn, port).await,
        Command::Requests(command) => command.run(network).await,
    }
}

async fn within<T>(
    seconds: u64,
    work: impl std::future::Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    match tokio::time::timeout(Duration::from_secs(seconds), work).await {
        Ok(result) => result,
        Err(_) => anyhow::bail!("timed out after {seconds} s"),
    }
}
