//! Runs: opening, adding items, state, outcomes.

use super::now;
use crate::{
    FleetError,
    store::{LineInput, OpenedRun, OutcomeRow, RunConfig, RunRow, RunState},
};
use rusqlite::{OptionalExtension, Row, Transaction};

pub(super) fn open(db: &Transaction<'_>, config: &RunConfig) -> Result<OpenedRun, FleetError> {
    let found: Option<(i32, String, i64)> = db
        .query_row(
            "select id, config, items from run where name = ?1",
            [&config.name],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()?;
    if let Some((id, stored, items)) = found {
        config.compare(&stored)?;
        let items = u64::try_from(items).unwrap_or(0);
        return Ok(OpenedRun {
            id,
            is_new: false,
            items,
        });
    }
    db.execute(
        "insert into limiter (account, model, rpm, tpm) values (?1, ?2, ?3, ?4) on conflict (account, model) \
         do update set rpm = coalesce(excluded.rpm, rpm), tpm = coalesce(excluded.tpm, tpm)",
        (&config.account, config.limiter_model(), config.rpm, config.tpm),
    )?;
    db.execute(
        "insert into run (name, limiter, config, weight, created_at) \
         values (?1, (select id from limiter where account = ?2 and model = ?3), ?4, ?5, ?6)",
        (
            &config.name,
            &config.account,
            config.limiter_model(),
            config.to_json(),
            config.weight,
            now(),
        ),
    )?;
    let id = i32::try_from(db.last_insert_rowid()).unwrap_or(i32::MAX);
    Ok(OpenedRun {
        id,
        is_new: true,
        items: 0,
    })
}

pub(super) fn add_inputs(
    db: &Transaction<'_>,
    run: i32,
    lines: &[LineInput],
    source: Option<&str>,
    chunk: i32,
) -> Result<u64, FleetError> {
    let (items, chunks, state): (i64, i64, String) = db.query_row(
        "select items, chunks, state from run where id = ?1",
        [run],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let mut source_id = None;
    if let Some(uri) = source {
        db.execute(
            "insert into source (run, id, uri) select ?1, count(*), ?2 from source where run = ?1 on conflict do nothing",
            (run, uri),
        )?;
        let sql = "select id from source where run = ?1 and uri = ?2";
        source_id = Some(db.query_row(sql, (run, uri), |row| row.get::<_, i64>(0))?);
    }
    let mut find = db.prepare_cached("select body from input where run = ?1 and key = ?2")?;
    let mut insert = db.prepare_cached(
        "insert into input (run, seq, key, body, source, place, size) values (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let mut added = 0;
    for line in lines {
        let there: Option<Option<String>> = find
            .query_row((run, &line.key), |row| row.get(0))
            .optional()?;
        match there {
            Some(body) if body == line.body => continue,
            Some(_) => {
                return Err(FleetError::Refused(format!(
                    "the id `{}` is in the run with another body",
                    line.key
                )));
            }
            None => {}
        }
        added += 1;
        insert.execute((
            run,
            items + added,
            &line.key,
            &line.body,
            source_id,
            line.place,
            line.size,
        ))?;
    }
    if added == 0 {
        return Ok(0);
    }
    if state == "cancelled" {
        return Err(FleetError::Refused(
            "the run is cancelled: it takes no more items".into(),
        ));
    }
    let size = i64::from(chunk.max(1));
    let new = (added + size - 1) / size;
    let mut insert =
        db.prepare_cached("insert into chunk (run, no, first, last) values (?1, ?2, ?3, ?4)")?;
    for n in 1..=new {
        let (first, last) = (items + (n - 1) * size + 1, items + (n * size).min(added));
        insert.execute((run, chunks + n, first, last))?;
    }
    db.execute(
        "update run set items = ?2, chunks = ?3, state = case state when 'done' then 'open' else state end where id = ?1",
        (run, items + added, chunks + new),
    )?;
    Ok(u64::try_from(added).unwrap_or(0))
}

pub(super) fn set_state(
    db: &Transaction<'_>,
    run: &str,
    state: RunState,
    reason: Option<&str>,
) -> Result<RunState, FleetError> {
    let from = match state {
        RunState::Open => "('paused')",
        RunState::Paused => "('open')",
        _ => "('open', 'paused')",
    };
    db.execute(
        &format!("update run set state = ?2, reason = ?3 where name = ?1 and state in {from}"),
        (run, state.as_str(), reason),
    )?;
    Ok(by_name(db, run)?.state)
}

pub(super) fn close(db: &Transaction<'_>, run: Option<i32>) -> Result<u64, FleetError> {
    db.execute(
        "update run set state = 'done' where state = 'open' and complete and (?1 is null or id = ?1) \
         and not exists (select 1 from chunk c where c.run = run.id and c.state in ('r', 'l'))",
        [run],
    )?;
    let sql =
        "select count(*) from run where state in ('open', 'paused') and (?1 is null or id = ?1)";
    let left: i64 = db.query_row(sql, [run], |row| row.get(0))?;
    Ok(u64::try_from(left).unwrap_or(0))
}

pub(super) fn by_name(db: &Transaction<'_>, name: &str) -> Result<RunRow, FleetError> {
    let sql = "select id, limiter, config, state, items from run where name = ?1";
    let parts = db.query_row(sql, [name], run_parts).optional()?;
    run_row(parts, name)
}

pub(super) fn by_id(db: &Transaction<'_>, id: i32) -> Result<RunRow, FleetError> {
    let sql = "select id, limiter, config, state, items from run where id = ?1";
    let parts = db.query_row(sql, [id], run_parts).optional()?;
    run_row(parts, &id.to_string())
}

type RunParts = (i32, i32, String, String, i64);

fn run_parts(row: &Row<'_>) -> rusqlite::Result<RunParts> {
    Ok((
        row.get(0)?,
        row.get(1)?,
        row.get(2)?,
        row.get(3)?,
        row.get(4)?,
    ))
}

fn run_row(parts: Option<RunParts>, name: &str) -> Result<RunRow, FleetError> {
    let (id, limiter, config, state, items) =
        parts.ok_or_else(|| FleetError::Refused(format!("there is no run `{name}`")))?;
    RunRow::new(id, limiter, &config, &state, items)
}

pub(super) fn outcomes(
    db: &Transaction<'_>,
    run: i32,
    after: i64,
    limit: i64,
) -> Result<Vec<OutcomeRow>, FleetError> {
    let mut statement = db.prepare_cached(
        "select i.seq, i.key, r.kind, r.status, r.body from input i left join result r on r.run = i.run and r.seq = i.seq \
         where i.run = ?1 and i.seq > ?2 order by i.seq limit ?3",
    )?;
    let rows = statement.query_map((run, after, limit), |row| {
        Ok(OutcomeRow {
            seq: row.get(0)?,
            key: row.get(1)?,
            kind: row.get(2)?,
            status: row.get(3)?,
            body: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
