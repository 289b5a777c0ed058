//! What `fleet status` shows: sums over finished chunks, and a look at those in progress. No table of items is counted.

use super::{connect::Link, no_run};
use crate::{
    FleetError,
    status::{LimiterStatus, RunStatus, Status, WorkerStatus},
};
use std::collections::HashMap;

const RUNS: &str = "
select r.id, r.name, r.state, r.reason, r.complete, r.items,
  d.done::bigint, d.ok::bigint, d.failed::bigint, d.attempts::bigint, d.unknown::bigint, d.input::bigint, d.output::bigint, d.recent::bigint,
  l.chunks, l.oldest::double precision, l.done, l.recent, extract(epoch from now() - r.created_at)::double precision
from fleet.run r
cross join lateral (
  select coalesce(sum(c.last - c.first + 1), 0) as done, coalesce(sum(c.ok), 0) as ok,
    coalesce(sum(c.failed), 0) as failed, coalesce(sum(c.attempts), 0) as attempts, coalesce(sum(c.unknown), 0) as unknown,
    coalesce(sum(c.input_tokens), 0) as input, coalesce(sum(c.output_tokens), 0) as output,
    coalesce(sum(c.last - c.first + 1) filter (where c.done_at > now() - interval '2 minutes'), 0) as recent
  from fleet.chunk c where c.run = r.id and c.state = 'd'
) d
cross join lateral (
  select count(*) as chunks, extract(epoch from now() - min(c.leased_at)) as oldest, coalesce(sum(i.n), 0)::bigint as done,
    coalesce(sum(i.recent), 0)::bigint as recent
  from fleet.chunk c cross join lateral (
    select count(*) as n, count(*) filter (where x.at > now() - interval '2 minutes') as recent
    from fleet.result x where x.run = c.run and x.seq between c.first and c.last) i
  where c.run = r.id and c.state = 'l'
) l
where $1::text is null or r.name = $1 order by r.id";

const KINDS: &str = "
select c.run, k.key, sum(k.value::bigint)::bigint from fleet.chunk c cross join lateral jsonb_each_text(c.kinds) k
where c.kinds is not null group by c.run, k.key";

const LIMITERS: &str = "
select l.account, l.model, l.rpm, l.tpm, fleet.current_factor(l.factor, l.factor_at), l.epoch,
  greatest(0, l.not_before - fleet.now_us())::double precision / 1000000
from fleet.limiter l
where exists (select from fleet.run r where r.limiter = l.id and ($1::text is null or r.name = $1)) order by l.id";

const WORKERS: &str = "
select w.id, w.host, case when w.gone then 'lost' when w.leaving then 'leaving'
    when w.seen_at < now() - w.lease_seconds / 2 * interval '1 second' then 'silent' else 'working' end,
  extract(epoch from clock_timestamp() - w.seen_at)::double precision, w.in_flight, w.done, w.rate
from fleet.worker w where not w.gone or (w.seen_at > now() - interval '10 minutes' and not w.leaving) order by w.id";

pub(super) async fn read(link: &Link, run: Option<&str>) -> Result<Status, FleetError> {
    let mut status = Status::default();
    let mut places = HashMap::new();
    for row in link.all(RUNS, &[&run]).await? {
        let number = |column: usize| -> Result<u64, FleetError> {
            Ok(u64::try_from(row.try_get::<_, i64>(column)?).unwrap_or(0))
        };
        let age: f64 = row.try_get(18)?;
        let mut run = RunStatus {
            name: row.try_get(1)?,
            state: row.try_get(2)?,
            reason: row.try_get(3)?,
            input_complete: row.try_get(4)?,
            items: number(5)?,
            done: number(6)? + number(16)?,
            ok: number(7)?,
            failed: number(8)?,
            leased_chunks: number(14)?,
            oldest_lease_s: row.try_get(15)?,
            unknown_attempts: number(10)?,
            attempts: number(9)?,
            input_tokens: number(11)?,
            output_tokens: number(12)?,
            errors: std::collections::BTreeMap::new(),
            rate: (number(13)? + number(17)?) as f64 / age.clamp(1.0, 120.0),
            left_s: None,
        };
        run.set_time_left();
        places.insert(row.try_get::<_, i32>(0)?, status.runs.len());
        status.runs.push(run);
    }
    if let (Some(name), true) = (run, status.runs.is_empty()) {
        return Err(no_run(name));
    }
    for row in link.all(KINDS, &[]).await? {
        let place = places.get(&row.try_get::<_, i32>(0)?);
        if let Some(run) = place.and_then(|place| status.runs.get_mut(*place)) {
            let count = u64::try_from(row.try_get::<_, i64>(2)?).unwrap_or(0);
            run.errors.insert(row.try_get(1)?, count);
        }
    }
    for row in link.all(LIMITERS, &[&run]).await? {
        status.limiters.push(LimiterStatus {
            account: row.try_get(0)?,
            model: row.try_get(1)?,
            rpm: row.try_get(2)?,
            tpm: row.try_get(3)?,
            factor: row.try_get(4)?,
            reductions: row.try_get(5)?,
            held_for_s: row.try_get(6)?,
        });
    }
    for row in link.all(WORKERS, &[]).await? {
        status.workers.push(WorkerStatus {
            id: row.try_get(0)?,
            host: row.try_get(1)?,
            state: row.try_get(2)?,
            last_sign_s: row.try_get(3)?,
            in_flight: row.try_get::<_, i32>(4)?.into(),
            done: row.try_get(5)?,
            rate: row.try_get(6)?,
        });
    }
    Ok(status)
}
