//! What `fleet status` shows of a SQLite file.

use super::now;
use crate::{
    FleetError,
    pace::Pace,
    status::{LimiterStatus, RunStatus, Status, WorkerStatus},
};
use rusqlite::Transaction;

const RUNS: &str = "
select r.id, r.name, r.state, r.reason, r.complete, r.items,
  (select count(*) from result x where x.run = r.id),
  (select coalesce(sum(ok), 0) from chunk c where c.run = r.id and c.state = 'd'),
  (select coalesce(sum(failed), 0) from chunk c where c.run = r.id and c.state = 'd'),
  (select coalesce(sum(attempts), 0) from chunk c where c.run = r.id and c.state = 'd'),
  (select coalesce(sum(unknown), 0) from chunk c where c.run = r.id and c.state = 'd'),
  (select coalesce(sum(input_tokens), 0) from chunk c where c.run = r.id and c.state = 'd'),
  (select coalesce(sum(output_tokens), 0) from chunk c where c.run = r.id and c.state = 'd'),
  (select count(*) from result x where x.run = r.id and x.at > ?2 - 120000000),
  (select count(*) from chunk c where c.run = r.id and c.state = 'l'),
  (select (?2 - min(c.leased_at)) / 1000000.0 from chunk c where c.run = r.id and c.state = 'l'),
  (?2 - r.created_at) / 1000000.0
from run r where ?1 is null or r.name = ?1 order by r.id";

pub(super) fn read(db: &Transaction<'_>, run: Option<&str>) -> Result<Status, FleetError> {
    let now = now();
    let mut status = Status::default();
    let mut statement = db.prepare(RUNS)?;
    let mut rows = statement.query((run, now))?;
    let mut ids = Vec::new();
    while let Some(row) = rows.next()? {
        let number = |column: usize| -> rusqlite::Result<u64> {
            Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
        };
        ids.push(row.get::<_, i64>(0)?);
        let age: f64 = row.get(16)?;
        let mut run = RunStatus {
            name: row.get(1)?,
            state: row.get(2)?,
            reason: row.get(3)?,
            input_complete: row.get(4)?,
            items: number(5)?,
            done: number(6)?,
            ok: number(7)?,
            failed: number(8)?,
            attempts: number(9)?,
            unknown_attempts: number(10)?,
            input_tokens: number(11)?,
            output_tokens: number(12)?,
            rate: number(13)? as f64 / age.clamp(1.0, 120.0),
            leased_chunks: number(14)?,
            oldest_lease_s: row.get(15)?,
            ..RunStatus::default()
        };
        run.set_time_left();
        status.runs.push(run);
    }
    if let (Some(name), true) = (run, status.runs.is_empty()) {
        return Err(FleetError::Refused(format!("there is no run `{name}`")));
    }
    let mut kinds = db.prepare(
        "select kind, count(*) from (select kind from failure where run = ?1 union all \
         select kind from result where run = ?1 and kind <> 'ok') group by kind",
    )?;
    for (id, run) in ids.iter().zip(&mut status.runs) {
        let mut rows = kinds.query([id])?;
        while let Some(row) = rows.next()? {
            let count = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
            run.errors.insert(row.get(0)?, count);
        }
    }
    read_limiters(db, run, &mut status)?;
    read_workers(db, &mut status)?;
    Ok(status)
}

fn read_limiters(
    db: &Transaction<'_>,
    run: Option<&str>,
    status: &mut Status,
) -> Result<(), FleetError> {
    let now = now();
    let mut statement = db.prepare(
        "select account, model, rpm, tpm, factor, factor_at, epoch, not_before from limiter l \
         where exists (select 1 from run r where r.limiter = l.id and (?1 is null or r.name = ?1)) order by id",
    )?;
    let mut rows = statement.query([run])?;
    while let Some(row) = rows.next()? {
        let mut pace = Pace::new(row.get(2)?, row.get(3)?);
        (pace.factor, pace.factor_at) = (row.get(4)?, row.get(5)?);
        let held: i64 = row.get(7)?;
        status.limiters.push(LimiterStatus {
            account: row.get(0)?,
            model: row.get(1)?,
            rpm: pace.rpm,
            tpm: pace.tpm,
            factor: pace.current_factor(now),
            reductions: row.get(6)?,
            held_for_s: (held - now).max(0) as f64 / 1e6,
        });
    }
    Ok(())
}

fn read_workers(db: &Transaction<'_>, status: &mut Status) -> Result<(), FleetError> {
    let mut statement = db.prepare(
        "select id, host, case when gone then 'lost' when leaving then 'leaving' when seen_at + lease_seconds * 500000 < ?1 \
         then 'silent' else 'working' end, (?1 - seen_at) / 1000000.0, in_flight, done, rate from worker \
         where not gone or (seen_at > ?1 - 600000000 and not leaving) order by id",
    )?;
    let mut rows = statement.query([now()])?;
    while let Some(row) = rows.next()? {
        status.workers.push(WorkerStatus {
            id: row.get(0)?,
            host: row.get(1)?,
            state: row.get(2)?,
            last_sign_s: row.get(3)?,
            in_flight: row.get(4)?,
            done: row.get(5)?,
            rate: row.get(6)?,
        });
    }
    Ok(())
}
