//! Leasing a chunk and reading its items.

use crate::{
    FleetError,
    input::{ItemSource, parse_line, read_item},
    store::{Chunk, Item, RunRow, Store, WorkerId},
};
use bytes::Bytes;
use std::{future::poll_fn, time::Duration};
use unifiedai::{
    ChatRequest,
    transport::{AsyncResponseBody, AsyncTransport, AttemptDeadlines, HyperTransport},
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
    let mut items = Vec::new();
    for item in store.load(chunk).await? {
        let model = run.config.model.as_deref();
        let (body_bytes, request) = match (&item.body, &item.source) {
            (Some(body), _) => (body.len(), read_item(body, model)),
            (None, Some(source)) => {
                let line = read_source(ItemSource::new(source.clone())).await?;
                let request =
                    parse_line(line.trim_ascii()).and_then(|line| read_item(line.body, model));
                (line.len(), request)
            }
            (None, None) => (0, Err("the item has neither a body nor a source".into())),
        };
        items.push(LoadedItem {
            item,
            body_bytes,
            request,
        });
    }
    Ok(Loaded {
        chunk: chunk.clone(),
        run,
        items,
    })
}

async fn read_source(source: ItemSource) -> Result<Vec<u8>, FleetError> {
    if source.is_url() {
        return download(&source).await;
    }
    let task = tokio::task::spawn_blocking(move || source.read_file());
    task.await
        .map_err(|e| FleetError::File(format!("reading an input ended early: {e}")))?
}

/// The longest download of one line.
const DOWNLOAD: Duration = Duration::from_secs(60);

/// Reads a line of an object by a range request.
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
        .body(Bytes::new())
        .map_err(|e| failed(e.to_string()))?;
    let transport = HyperTransport::new();
    let read = async {
        let response = transport
            .send(request.map(Into::into), AttemptDeadlines::NONE)
            .await;
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
