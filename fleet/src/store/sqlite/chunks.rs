//! Workers, leases and outcomes.

use super::now;
use crate::{
    FleetError,
    store::{AttemptRecord, Chunk, Item, WorkerId, WorkerState},
};
use rusqlite::{OptionalExtension, Transaction};

pub(super) fn register(
    db: &Transaction<'_>,
    host: &str,
    lease_seconds: f64,
    concurrency: usize,
) -> Result<WorkerId, FleetError> {
    let concurrency = i64::try_from(concurrency).unwrap_or(i64::MAX);
    db.execute(
        "insert into worker (host, lease_seconds, concurrency, started_at, seen_at, steady_at) values (?1, ?2, ?3, ?4, ?4, ?4)",
        (host, lease_seconds, concurrency, now()),
    )?;
    Ok(db.last_insert_rowid())
}

pub(super) fn check_lease(db: &Transaction<'_>, worker: WorkerId) -> Result<(), FleetError> {
    let mut statement = db.prepare_cached("select gone from worker where id = ?1")?;
    match statement.query_row([worker], |row| row.get(0)).optional()? {
        Some(false) => Ok(()),
        _ => Err(FleetError::LeaseLost),
    }
}

pub(super) fn claim(
    db: &Transaction<'_>,
    worker: WorkerId,
    run: Option<i32>,
    single: bool,
) -> Result<Option<Chunk>, FleetError> {
    check_lease(db, worker)?;
    let mut statement = db.prepare_cached(
        "select r.id, r.weight from run r where r.state = 'open' and (?1 is null or r.id = ?1) and exists (select 1 from chunk c \
         where c.run = r.id and c.state = 'r' and (?2 or c.no > 0)) order by r.id",
    )?;
    let runs = statement.query_map((run, single), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let runs: Vec<(i32, f64)> = runs.collect::<Result<_, _>>()?;
    let n: i64 = db.query_row("update turn set n = n + 1 returning n", [], |row| {
        row.get(0)
    })?;
    let Some(run) = chosen(n, &runs) else {
        return Ok(None);
    };
    let mut statement = db.prepare_cached(
        "update chunk set state = 'l', owner = ?2, epoch = epoch + 1, returned = 0, leased_at = ?4 where run = ?1 and no = coalesce( \
         (select no from chunk where run = ?1 and state = 'r' and returned = 1 and (?3 or no > 0) order by no desc limit 1), \
         (select no from chunk where run = ?1 and state = 'r' and returned = 0 order by no limit 1)) \
         returning run, no, epoch, first, last, remote",
    )?;
    let chunk = statement
        .query_row((run, worker, single, now()), |row| {
            Ok(Chunk {
                run: row.get(0)?,
                no: row.get(1)?,
                epoch: row.get(2)?,
                first: row.get(3)?,
                last: row.get(4)?,
                remote: row.get(5)?,
            })
        })
        .optional()?;
    Ok(chunk)
}

/// The run of turn `n`: each has a part of [0, 1) as large as its weight, and the golden ratio spreads the turns evenly over it.
fn chosen(n: i64, runs: &[(i32, f64)]) -> Option<i32> {
    let total: f64 = runs.iter().map(|(_, weight)| weight).sum();
    let mut left = (n as f64 * 0.618_033_988_749_894_9).fract() * total;
    for (run, weight) in runs {
        if left < *weight {
            return Some(*run);
        }
        left -= weight;
    }
    runs.last().map(|(run, _)| *run)
}

pub(super) fn load(db: &Transaction<'_>, chunk: &Chunk) -> Result<Vec<Item>, FleetError> {
    let mut statement = db.prepare_cached(
        "select i.seq, i.body, s.uri, i.place, i.size, (select count(*) from intent t where t.run = i.run and t.seq = i.seq), \
         (select count(*) from failure f where f.run = i.run and f.seq = i.seq), (select count(*) from failure f where f.run = i.run \
         and f.seq = i.seq and f.kind in ('rate_limit', 'overloaded', 'connection', 'not_sent')) \
         from input i left join source s on s.run = i.run and s.id = i.source where i.run = ?1 and i.seq between ?2 and ?3 \
         and not exists (select 1 from result r where r.run = i.run and r.seq = i.seq) order by i.seq",
    )?;
    let rows = statement.query_map((chunk.run, chunk.first, chunk.last), |row| {
        let (uri, place, size): (Option<String>, Option<i64>, Option<i64>) =
            (row.get(2)?, row.get(3)?, row.get(4)?);
        let place = place.and_then(|place| u64::try_from(place).ok());
        let size = size.and_then(|size| usize::try_from(size).ok());
        let (tries, failures): (i32, i32) = (row.get(5)?, row.get(6)?);
        Ok(Item {
            seq: row.get(0)?,
            body: row.get(1)?,
            source: uri
                .zip(place)
                .zip(size)
                .map(|((uri, place), size)| (uri, place, size)),
            tries,
            throttled: row.get(7)?,
            unknown: (tries - failures).max(0),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn put(db: &Transaction<'_>, rows: &[AttemptRecord]) -> Result<u64, FleetError> {
    let mut result = db.prepare_cached(
        "insert into result (run, seq, attempt, worker, kind, status, body, input_tokens, output_tokens, at) \
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) on conflict do nothing",
    )?;
    let mut failure = db.prepare_cached(
        "insert into failure (run, seq, attempt, worker, kind, status, at) values (?1, ?2, ?3, ?4, ?5, ?6, ?7) on conflict do nothing",
    )?;
    let mut own = db.prepare_cached(
        "select 1 from result where run = ?1 and seq = ?2 and attempt = ?3 and worker = ?4",
    )?;
    let (now, mut late) = (now(), 0);
    for row in rows {
        let mut kind = row.kind.as_str();
        if row.is_outcome {
            let stored = result.execute((
                row.run,
                row.seq,
                row.attempt,
                row.worker,
                kind,
                row.status,
                &row.body,
                row.input_tokens,
                row.output_tokens,
                now,
            ))?;
            if stored == 1 || own.exists((row.run, row.seq, row.attempt, row.worker))? {
                continue;
            }
            late += 1;
            kind = "late";
        }
        failure.execute((
            row.run,
            row.seq,
            row.attempt,
            row.worker,
            kind,
            row.status,
            now,
        ))?;
    }
    Ok(late)
}

pub(super) fn finish(
    db: &Transaction<'_>,
    worker: WorkerId,
    chunk: &Chunk,
) -> Result<bool, FleetError> {
    let mut statement = db.prepare_cached(
        "update chunk set state = 'd', remote = null, done_at = ?5, \
         ok = (select count(*) from result r where r.run = ?1 and r.seq between first and last and r.kind = 'ok'), \
         failed = (select count(*) from result r where r.run = ?1 and r.seq between first and last and r.kind <> 'ok'), \
         input_tokens = (select sum(input_tokens) from result r where r.run = ?1 and r.seq between first and last), \
         output_tokens = (select sum(output_tokens) from result r where r.run = ?1 and r.seq between first and last), \
         attempts = (select count(*) from intent t where t.run = ?1 and t.seq between first and last), \
         unknown = (select count(*) from intent t where t.run = ?1 and t.seq between first and last \
           and not exists (select 1 from failure f where f.run = ?1 and f.seq = t.seq and f.attempt = t.attempt and f.worker = t.worker) \
           and not exists (select 1 from result r where r.run = ?1 and r.seq = t.seq and r.attempt = t.attempt and r.worker = t.worker)) \
         where run = ?1 and no = ?2 and owner = ?3 and epoch = ?4 and state = 'l' \
         and (select count(*) from result r where r.run = ?1 and r.seq between first and last) = last - first + 1",
    )?;
    let changed = statement.execute((chunk.run, chunk.no, worker, chunk.epoch, now()))?;
    Ok(changed == 1)
}

pub(super) fn beat(
    db: &Transaction<'_>,
    worker: WorkerId,
    state: WorkerState,
) -> Result<bool, FleetError> {
    let in_flight = i64::try_from(state.in_flight).unwrap_or(i64::MAX);
    let done = i64::try_from(state.done).unwrap_or(i64::MAX);
    let now = now();
    let steady: Option<bool> = db
        .query_row(
            "update worker set leaving = ?3, in_flight = ?4, done = ?5, rate = ?6, seen_at = ?2, \
             steady_at = case when seen_at + lease_seconds * 500000 < ?2 then ?2 else steady_at end where id = ?1 and not gone \
             returning steady_at + lease_seconds * 1000000 < ?2",
            (worker, now, state.leaving, in_flight, done, state.rate),
            |row| row.get(0),
        )
        .optional()?;
    match steady {
        None => return Ok(false),
        // As in `fleet.beat`: a worker that was itself silent cannot know which of the others are gone.
        Some(false) => return Ok(true),
        Some(true) => {}
    }
    db.execute(
        "update worker set gone = 1 where not gone and id <> ?1 and seen_at + lease_seconds * 1000000 < ?2",
        (worker, now),
    )?;
    let mut statement = db.prepare_cached(
        "select c.run, c.no, c.owner, c.lost, c.first, c.last, c.remote is not null, exists (select 1 from intent t where t.run = c.run \
         and t.seq between c.first and c.last and t.worker = c.owner \
         and not exists (select 1 from failure f where f.run = t.run and f.seq = t.seq and f.attempt = t.attempt and f.worker = t.worker) \
         and not exists (select 1 from result r where r.run = t.run and r.seq = t.seq)) \
         from chunk c join worker w on w.id = c.owner and w.gone where c.state = 'l'",
    )?;
    let lost = statement.query_map([], |row| {
        Ok(LostChunk {
            run: row.get(0)?,
            no: row.get(1)?,
            owner: row.get(2)?,
            lost: row.get(3)?,
            first: row.get(4)?,
            last: row.get(5)?,
            is_remote: row.get(6)?,
            was_calling: row.get(7)?,
        })
    })?;
    for chunk in lost.collect::<Result<Vec<_>, _>>()? {
        recover(db, &chunk)?;
    }
    Ok(true)
}

struct LostChunk {
    run: i32,
    no: i64,
    owner: WorkerId,
    lost: i32,
    first: i64,
    last: i64,
    is_remote: bool,
    was_calling: bool,
}

/// As `fleet.recover_chunk` of `fleet.sql`.
fn recover(db: &Transaction<'_>, chunk: &LostChunk) -> Result<(), FleetError> {
    let lost = chunk.lost + i32::from(chunk.was_calling);
    if lost < 3 || chunk.is_remote {
        db.execute(
            "update chunk set state = 'r', returned = 1, owner = null, lost = ?3 where run = ?1 and no = ?2",
            (chunk.run, chunk.no, lost),
        )?;
    } else if chunk.no > 0 {
        for seq in chunk.first..=chunk.last {
            db.execute(
                "insert into chunk (run, no, first, last, returned) values (?1, -?2, ?2, ?2, 1) on conflict do nothing",
                (chunk.run, seq),
            )?;
        }
        db.execute(
            "update chunk set state = 'x', owner = null, lost = ?3 where run = ?1 and no = ?2",
            (chunk.run, chunk.no, lost),
        )?;
    } else {
        db.execute(
            "insert into result (run, seq, attempt, worker, kind, at) values (?1, ?2, 0, 0, 'poison', ?3) on conflict do nothing",
            (chunk.run, chunk.first, now()),
        )?;
        let sql = "select epoch from chunk where run = ?1 and no = ?2";
        let epoch = db.query_row(sql, (chunk.run, chunk.no), |row| row.get(0))?;
        let owner = chunk.owner;
        let chunk = Chunk {
            run: chunk.run,
            no: chunk.no,
            epoch,
            first: chunk.first,
            last: chunk.last,
            remote: None,
        };
        finish(db, owner, &chunk)?;
    }
    Ok(())
}

pub(super) fn leave(db: &Transaction<'_>, worker: WorkerId) -> Result<(), FleetError> {
    db.execute(
        "update chunk set state = 'r', returned = 1, owner = null where owner = ?1 and state = 'l'",
        [worker],
    )?;
    db.execute(
        "update worker set gone = 1, leaving = 1, in_flight = 0, rate = 0 where id = ?1",
        [worker],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::chosen;

    #[test]
    fn turns_go_to_runs_by_their_weights() {
        let runs = [(1, 3.0), (2, 1.0)];
        let of_first = (1..=100).filter(|n| chosen(*n, &runs) == Some(1)).count();
        assert!((74..=76).contains(&of_first), "{of_first}");
        assert_eq!(chosen(1, &[]), None);
    }
}
