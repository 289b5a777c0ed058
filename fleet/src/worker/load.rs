//! Leasing a chunk and reading its items.

use crate::{
    FleetError,
    input::{ItemSource, parse_line, read_item},
    store::{Chunk, Item, RunRow, Store, WorkerId},
};
use bytes::Bytes;
use std::{future::poll_fn, sync::LazyLock, time::Duration};
use unifiedai::{
    ChatRequest,
    transport::{AsyncResponseBody, AsyncTransport, AttemptDeadlines, HyperTransport, RequestBody},
};

/// A leased chunk with its run and its items.
pub(super) struct Loaded {
    pub(super) chunk: Chunk,
    pub(super) run: RunRow,
    pub(super) items: Vec<LoadedItem>,
}

pub(super) struct LoadedItem {
    pub(super) item: Item,
    pub(super) body_bytes: usize,
    /// What is wrong with the body, or its request.
    pub(super) request: Result<ChatRequest, String>,
}

/// Leases a chunk and reads it. On an error the chunk is given back.
pub(super) async fn claim(
    store: &dyn Store,
    worker: WorkerId,
    run: Option<i32>,
    single: bool,
) -> Result<Option<Loaded>, FleetError> {
    let Some(chunk) = store.claim(worker, run, single).await? else {
        return Ok(None);
    };
    match load(store, &chunk).await {
        Ok(loaded) => Ok(Some(loaded)),
        Err(error) => {
            let _ = store.give_back(worker, &chunk).await;
            Err(error)
        }
    }
}

async fn load(store: &dyn Store, chunk: &Chunk) -> Result<Loaded, FleetError> {
    let run = store.run_by_id(chunk.run).await?;
    let model = run.config.model.as_deref();
    let items = store.load(chunk).await?;
    let mut lines = read_sources(&items).await?.into_iter();
    let mut loaded = Vec::with_capacity(items.len());
    for item in items {
        let (body_bytes, request) = match (&item.body, &item.source) {
            (Some(body), _) => (body.len(), read_item(body, model)),
            (None, Some(_)) => {
                let line = lines.next().unwrap_or_default();
                let request =
                    parse_line(line.trim_ascii()).and_then(|line| read_item(line.body, model));
                (line.len(), request)
            }
            (None, None) => (0, Err("the item has neither a body nor a source".into())),
        };
        loaded.push(LoadedItem {
            item,
            body_bytes,
            request,
        });
    }
    Ok(Loaded {
        chunk: chunk.clone(),
        run,
        items: loaded,
    })
}

/// Bytes between two lines that are read with them rather than by a request of their own.
const MAX_GAP: u64 = 64 << 10;

/// The most bytes that are read at once.
const MAX_READ: u64 = 16 << 20;

/// The lines of the items that are in sources, in their order. Neighbours are read together.
async fn read_sources(items: &[Item]) -> Result<Vec<Vec<u8>>, FleetError> {
    let mut spans: Vec<(ItemSource, Vec<(u64, usize)>)> = Vec::new();
    for source in items
        .iter()
        .filter(|item| item.body.is_none())
        .filter_map(|item| item.source.clone())
    {
        let source = ItemSource::new(source);
        let line = (source.place, source.size);
        let end = source.place + source.size as u64;
        match spans.last_mut() {
            Some((span, lines))
                if span.uri == source.uri
                    && source.place >= span.place + span.size as u64
                    && source.place - (span.place + span.size as u64) <= MAX_GAP
                    && end - span.place <= MAX_READ =>
            {
                span.size = usize::try_from(end - span.place).unwrap_or(usize::MAX);
                lines.push(line);
            }
            _ => spans.push((source, vec![line])),
        }
    }
    let mut all = Vec::new();
    for (span, lines) in spans {
        let start = span.place;
        let bytes = read_source(span).await?;
        for (place, size) in lines {
            let from = usize::try_from(place - start).unwrap_or(usize::MAX);
            let line = bytes.get(from..).and_then(|rest| rest.get(..size));
            all.push(line.unwrap_or_default().to_vec());
        }
    }
    Ok(all)
}

async fn read_source(source: ItemSource) -> Result<Vec<u8>, FleetError> {
    if source.is_url() {
        return download(&source).await;
    }
    let task = tokio::task::spawn_blocking(move || source.read_file());
    task.await
        .map_err(|e| FleetError::File(format!("reading an input ended early: {e}")))?
}

/// The longest download.
const DOWNLOAD: Duration = Duration::from_secs(60);

/// Downloads share their connections.
static TRANSPORT: LazyLock<HyperTransport> = LazyLock::new(HyperTransport::new);

/// Reads a part of an object by a range request.
async fn download(source: &ItemSource) -> Result<Vec<u8>, FleetError> {
    let failed = |what: String| {
        FleetError::File(format!(
            "bytes {} to {} of {} cannot be read: {what}",
            source.place,
            source.place + source.size as u64,
            source.uri
        ))
    };
    let last = source.place + (source.size as u64).saturating_sub(1);
    let request = http::Request::get(&source.uri)
        .header("range", format!("bytes={}-{last}", source.place))
        .body(RequestBody::from(Bytes::new()))
        .map_err(|e| failed(e.to_string()))?;
    let read = async {
        let response = TRANSPORT.send(request, AttemptDeadlines::NONE).await;
        let response = response.map_err(|e| failed(e.to_string()))?;
        // With 200 the server would send the whole object.
        if response.status() != http::StatusCode::PARTIAL_CONTENT {
            return Err(failed(format!(
                "the server answered {} to a range request, not 206",
                response.status()
            )));
        }
        let mut body = response.into_body();
        let mut line = Vec::with_capacity(source.size);
        let end = AttemptDeadlines::NONE.total;
        while let Some(bytes) = poll_fn(|cx| body.poll_chunk(cx, end))
            .await
            .map_err(|e| failed(e.to_string()))?
        {
            line.extend_from_slice(&bytes);
            if line.len() > source.size {
                return Err(failed("the server sent more than was asked for".into()));
            }
        }
        if line.len() < source.size {
            return Err(failed(format!("the server sent {} bytes", line.len())));
        }
        Ok(line)
    };
    tokio::time::timeout(DOWNLOAD, read)
        .await
        .map_err(|_| failed(format!("it took longer than {} s", DOWNLOAD.as_secs())))?
}
