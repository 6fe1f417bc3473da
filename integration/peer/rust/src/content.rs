//! Files and folders in and out of an iroh-blobs store.

use std::{
    path::{Component, Path, PathBuf},
    str::FromStr,
    time::Instant,
};

use anyhow::Context;
use iroh::protocol::Router;
use iroh_blobs::{
    api::{
        blobs::{AddPathOptions, ExportMode, ExportOptions, ImportMode},
        Store, TempTag,
    },
    format::collection::Collection,
    ticket::BlobTicket,
    BlobFormat, BlobsProtocol, Hash, HashAndFormat,
};
use serde_json::{json, Value};
use tokio::task::JoinSet;

use crate::{
    faulty::{Faults, FaultyBlobs},
    node,
};

/// Files hashed at the same time.
const JOBS: usize = 8;

/// One imported file or folder.
pub struct Imported {
    pub content: HashAndFormat,
    pub bytes: u64,
    pub files: usize,
}

/// Imports every path, prints the ready line and serves until stdin is closed.
pub async fn serve(
    network: &node::Network,
    store: &str,
    reference: bool,
    port: u16,
    faults: Faults,
    paths: Vec<PathBuf>,
) -> anyhow::Result<Value> {
    let store = node::open_store(store).await?;
    let endpoint = node::bind(network, port, vec![iroh_blobs::ALPN.to_vec()]).await?;
    let addr = node::address(&endpoint, network);
    let mut items = Vec::new();
    for path in paths {
        let item = import_path(&store, &path, reference).await?;
        let ticket = BlobTicket::new(addr.clone(), item.content.hash, item.content.format);
        items.push(json!({
            "path": path.to_string_lossy(),
            "hash": item.content.hash.to_hex().to_string(),
            "format": format_name(item.content.format),
            "size": item.bytes,
            "files": item.files,
            "ticket": ticket.to_string(),
        }));
    }
    let router = Router::builder(endpoint);
    let router = if faults.any() {
        router.accept(iroh_blobs::ALPN, FaultyBlobs::new(&store, faults))
    } else {
        router.accept(iroh_blobs::ALPN, BlobsProtocol::new(&store, None))
    };
    let router = router.spawn();
    println!(
        "{}",
        json!({
            "event": "ready",
            "endpointId": addr.id.to_string(),
            "addrs": addr.ip_addrs().map(|a| a.to_string()).collect::<Vec<_>>(),
            "items": items,
        })
    );
    node::until_stdin_closes().await;
    router.shutdown().await.ok();
    store.shutdown().await.ok();
    Ok(json!({ "event": "closed" }))
}

/// Fetches what the ticket names into the store, then exports it.
pub async fn fetch(
    network: &node::Network,
    store: &str,
    ticket: &str,
    out: &str,
) -> anyhow::Result<Value> {
    let ticket = BlobTicket::from_str(ticket).context("ticket")?;
    let store = node::open_store(store).await?;
    let endpoint = node::bind(network, 0, vec![]).await?;
    let start = Instant::now();
    let connection = endpoint
        .connect(ticket.addr().clone(), iroh_blobs::ALPN)
        .await?;
    let connected = start.elapsed();
    let content = ticket.hash_and_format();
    let stats = store.remote().fetch(connection.clone(), content).await?;
    let fetched = start.elapsed();
    let path = node::path(&connection);
    connection.close(0u32.into(), b"done");
    let (bytes, files) = if out == "none" {
        (None, None)
    } else {
        let (bytes, files) = export(&store, content, Path::new(out)).await?;
        (Some(bytes), Some(files))
    };
    let exported = start.elapsed();
    endpoint.close().await;
    store.shutdown().await.ok();
    Ok(json!({
        "hash": content.hash.to_hex().to_string(),
        "format": format_name(content.format),
        "bytes": bytes,
        "files": files,
        "path": path,
        "payloadRead": stats.payload_bytes_read,
        "otherRead": stats.other_bytes_read,
        "connectSeconds": connected.as_secs_f64(),
        "seconds": fetched.as_secs_f64(),
        "exportSeconds": (exported - fetched).as_secs_f64(),
    }))
}

/// Imports one path into an FsStore and closes it.
pub async fn import(store: &str, reference: bool, path: PathBuf) -> anyhow::Result<Value> {
    let store = node::open_store(store).await?;
    let start = Instant::now();
    let item = import_path(&store, &path, reference).await?;
    store.sync_db().await?;
    let seconds = start.elapsed().as_secs_f64();
    store.shutdown().await?;
    Ok(json!({
        "hash": item.content.hash.to_hex().to_string(),
        "format": format_name(item.content.format),
        "size": item.bytes,
        "files": item.files,
        "seconds": seconds,
    }))
}

pub async fn import_path(store: &Store, path: &Path, reference: bool) -> anyhow::Result<Imported> {
    let path = std::path::absolute(path)?;
    if path.is_file() {
        let bytes = path.metadata()?.len();
        let tag = import_file(store.clone(), path, reference).await?;
        let content = HashAndFormat::raw(tag.hash());
        store.tags().create(content).await?;
        return Ok(Imported {
            content,
            bytes,
            files: 1,
        });
    }
    let mut files = Vec::new();
    list_files(&path, "", &mut files)?;
    files.sort();
    let bytes = files.iter().map(|(_, _, size)| size).sum();
    let count = files.len();
    let tags = import_all(store, files, reference).await?;
    let collection: Collection = tags
        .iter()
        .map(|(name, tag)| (name.clone(), tag.hash()))
        .collect();
    let root = collection.store(store).await?;
    let content = HashAndFormat::hash_seq(root.hash());
    store.tags().create(content).await?;
    Ok(Imported {
        content,
        bytes,
        files: count,
    })
}

/// Regular files below a folder with names relative to it; symlinks are left out, as sendme does.
fn list_files(
    folder: &Path,
    prefix: &str,
    files: &mut Vec<(String, PathBuf, u64)>,
) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let name = entry
            .file_name()
            .into_string()
            .map_err(|name| anyhow::anyhow!("{name:?} is not UTF-8"))?;
        let name = format!("{prefix}{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() {
            list_files(&entry.path(), &format!("{name}/"), files)?;
        } else if kind.is_file() {
            files.push((name, entry.path(), entry.metadata()?.len()));
        }
    }
    Ok(())
}

async fn import_all(
    store: &Store,
    files: Vec<(String, PathBuf, u64)>,
    reference: bool,
) -> anyhow::Result<Vec<(String, TempTag)>> {
    let mut tags = Vec::with_capacity(files.len());
    let mut tasks = JoinSet::new();
    for (name, path, _) in files {
        if tasks.len() == JOBS {
            tags.push(tasks.join_next().await.context("no task")???);
        }
        let store = store.clone();
        tasks.spawn(async move {
            let tag = import_file(store, path, reference).await?;
            anyhow::Ok((name, tag))
        });
    }
    while let Some(done) = tasks.join_next().await {
        tags.push(done??);
    }
    tags.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(tags)
}

async fn import_file(store: Store, path: PathBuf, reference: bool) -> anyhow::Result<TempTag> {
    let mode = if reference {
        ImportMode::TryReference
    } else {
        ImportMode::Copy
    };
    let options = AddPathOptions {
        path,
        mode,
        format: BlobFormat::Raw,
    };
    Ok(store.add_path_with_opts(options).temp_tag().await?)
}

async fn export(store: &Store, content: HashAndFormat, out: &Path) -> anyhow::Result<(u64, usize)> {
    let out = std::path::absolute(out)?;
    if content.format == BlobFormat::Raw {
        return Ok((export_file(store, content.hash, out).await?, 1));
    }
    let collection = Collection::load(content.hash, store).await?;
    std::fs::create_dir_all(&out)?;
    let mut bytes = 0;
    for (name, hash) in collection.iter() {
        bytes += export_file(store, *hash, out.join(safe(name)?)).await?;
    }
    Ok((bytes, collection.len()))
}

/// Only plain relative names leave the store.
fn safe(name: &str) -> anyhow::Result<&Path> {
    let path = Path::new(name);
    let plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    anyhow::ensure!(
        plain && !name.is_empty(),
        "collection name {name:?} is not a plain relative path"
    );
    Ok(path)
}

async fn export_file(store: &Store, hash: Hash, target: PathBuf) -> anyhow::Result<u64> {
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let options = ExportOptions {
        hash,
        target,
        mode: ExportMode::Copy,
    };
    Ok(store.export_with_opts(options).finish().await?)
}

fn format_name(format: BlobFormat) -> &'static str {
    match format {
        BlobFormat::Raw => "raw",
        BlobFormat::HashSeq => "hashseq",
    }
}
