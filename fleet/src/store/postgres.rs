//! The store on PostgreSQL: each operation is a function of `sql/fleet.sql`.

mod connect;
mod migrate;
mod status;

use super::{
    AttemptRecord, Chunk, Grant, Item, LineInput, OpenedRun, OutcomeRow, RunConfig, RunRow,
    RunState, Store, Wanted, WorkerId, WorkerState,
};
use crate::{FleetError, status::Status};
use async_trait::async_trait;
use connect::Link;
use tokio_postgres::types::ToSql;

/// A fleet in a database of PostgreSQL 14 or later. It holds two connections: slots do not wait behind answers that are stored.
#[derive(Debug)]
pub struct PostgresStore {
    main: Link,
    slots: Link,
}

impl PostgresStore {
    /// Connects, and installs or migrates the schema `fleet`.
    ///
    /// The URL has the form of libpq. Over the network the connection is encrypted and the server's certificate is verified, by the
    /// roots of browsers or by the PEM file of `root_certificates`. `sslmode=disable` turns that off; on loopback and on a Unix socket it
    /// is off unless `sslmode=require` is in the URL.
    ///
    /// # Errors
    /// `Refused` if the URL cannot be read, `Unavailable` if nothing answers there, `Database` if the schema is of a later version.
    pub async fn connect(url: &str, root_certificates: Option<&str>) -> Result<Self, FleetError> {
        let store = PostgresStore {
            main: Link::new(url, root_certificates)?,
            slots: Link::new(url, root_certificates)?,
        };
        store.main.migrate().await?;
        Ok(store)
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn open_run(&self, config: &RunConfig) -> Result<OpenedRun, FleetError> {
        config.check()?;
        let row = self
            .main
            .one(
                "select id, config, is_new, items from fleet.open_run($1, $2, $3, $4, $5, $6, $7)",
                &[
                    &config.name,
                    &config.to_json(),
                    &config.account,
                    &config.limiter_model(),
                    &config.rpm,
                    &config.tpm,
                    &config.weight,
                ],
            )
            .await?;
        config.compare(row.try_get(1)?)?;
        Ok(OpenedRun {
            id: row.try_get(0)?,
            is_new: row.try_get(2)?,
            items: unsigned(row.try_get(3)?),
        })
    }

    async fn add_inputs(
        &self,
        run: i32,
        lines: &[LineInput],
        source: Option<&str>,
        chunk: i32,
    ) -> Result<u64, FleetError> {
        let keys: Vec<&str> = lines.iter().map(|line| line.key.as_str()).collect();
        let bodies: Vec<Option<&str>> = lines.iter().map(|line| line.body.as_deref()).collect();
        let places: Vec<Option<i64>> = lines.iter().map(|line| line.place).collect();
        let sizes: Vec<Option<i32>> = lines.iter().map(|line| line.size).collect();
        let row = self
            .main
            .one(
                "select fleet.add_inputs($1, $2, $3, $4, $5, $6, $7)",
                &[&run, &keys, &bodies, &source, &places, &sizes, &chunk],
            )
            .await?;
        Ok(unsigned(row.try_get::<_, i32>(0)?.into()))
    }

    async fn complete_input(&self, run: i32) -> Result<(), FleetError> {
        let sql = "update fleet.run set complete = true where id = $1 and not complete";
        self.main.execute(sql, &[&run]).await
    }

    async fn register(
        &self,
        host: &str,
        lease_seconds: f64,
        concurrency: usize,
    ) -> Result<WorkerId, FleetError> {
        let concurrency = i32::try_from(concurrency).unwrap_or(i32::MAX);
        let params: [&(dyn ToSql + Sync); 3] = [&host, &lease_seconds, &concurrency];
        let row = self
            .main
            .one("select fleet.register($1, $2, $3)", &params)
            .await?;
        Ok(row.try_get(0)?)
    }

    async fn beat(&self, worker: WorkerId, state: WorkerState) -> Result<bool, FleetError> {
        let in_flight = i32::try_from(state.in_flight).unwrap_or(i32::MAX);
        let done = i64::try_from(state.done).unwrap_or(i64::MAX);
        let row = self
            .main
            .one(
                "select fleet.beat($1, $2, $3, $4, $5)",
                &[&worker, &state.leaving, &in_flight, &done, &state.rate],
            )
            .await?;
        Ok(row.try_get(0)?)
    }

    async fn leave(&self, worker: WorkerId) -> Result<(), FleetError> {
        self.main
            .execute("select fleet.leave($1)", &[&worker])
            .await
    }

    async fn claim(
        &self,
        worker: WorkerId,
        run: Option<i32>,
        single: bool,
    ) -> Result<Option<Chunk>, FleetError> {
        let rows = self
            .main
            .all(
                "select run, no, epoch, first, last, remote from fleet.claim($1, $2, $3)",
                &[&worker, &run, &single],
            )
            .await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        Ok(Some(Chunk {
            run: row.try_get(0)?,
            no: row.try_get(1)?,
            epoch: row.try_get(2)?,
            first: row.try_get(3)?,
            last: row.try_get(4)?,
            remote: row.try_get(5)?,
        }))
    }

    async fn load(&self, chunk: &Chunk) -> Result<Vec<Item>, FleetError> {
        let rows = self
            .main
            .all(
                "select seq, body, uri, place, size, tries, throttled, unknown from fleet.load($1, $2, $3)",
                &[&chunk.run, &chunk.first, &chunk.last],
            )
            .await?;
        let mut items = Vec::with_capacity(rows.len());
        for row in rows {
            let (uri, place, size): (Option<String>, Option<i64>, Option<i32>) =
                (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
            items.push(Item {
                seq: row.try_get(0)?,
                body: row.try_get(1)?,
                source: source(uri, place, size),
                tries: row.try_get(5)?,
                throttled: row.try_get(6)?,
                unknown: row.try_get(7)?,
            });
        }
        Ok(items)
    }

    async fn grant(
        &self,
        worker: WorkerId,
        limiter: i32,
        wanted: &[Wanted],
        settle: i64,
    ) -> Result<Grant, FleetError> {
        let runs: Vec<i32> = wanted.iter().map(|item| item.run).collect();
        let seqs: Vec<i64> = wanted.iter().map(|item| item.seq).collect();
        let attempts: Vec<i32> = wanted.iter().map(|item| item.attempt).collect();
        let tokens: Vec<i32> = wanted.iter().map(|item| item.tokens).collect();
        let row = self
            .slots
            .one(
                "select slots, epoch, retry_us from fleet.grant_slots($1, $2, $3, $4, $5, $6, $7)",
                &[&worker, &limiter, &runs, &seqs, &attempts, &tokens, &settle],
            )
            .await?;
        let slots: Vec<i64> = row.try_get(0)?;
        Ok(Grant {
            slots: slots
                .into_iter()
                .map(|slot| u64::try_from(slot).ok())
                .collect(),
            epoch: row.try_get(1)?,
            retry_us: unsigned(row.try_get(2)?),
        })
    }

    async fn penalise(
        &self,
        limiter: i32,
        epoch: i32,
        retry_after_us: Option<i64>,
        factor: f64,
    ) -> Result<bool, FleetError> {
        let row = self
            .slots
            .one(
                "select fleet.penalise($1, $2, $3, $4)",
                &[&limiter, &epoch, &retry_after_us, &factor],
            )
            .await?;
        Ok(row.try_get(0)?)
    }

    async fn put(&self, rows: &[AttemptRecord]) -> Result<u64, FleetError> {
        let workers: Vec<i64> = rows.iter().map(|row| row.worker).collect();
        let runs: Vec<i32> = rows.iter().map(|row| row.run).collect();
        let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        let attempts: Vec<i32> = rows.iter().map(|row| row.attempt).collect();
        let finals: Vec<bool> = rows.iter().map(|row| row.is_outcome).collect();
        let kinds: Vec<&str> = rows.iter().map(|row| row.kind.as_str()).collect();
        let statuses: Vec<Option<i32>> = rows.iter().map(|row| row.status).collect();
        // PostgreSQL has no text with a NUL.
        let bodies: Vec<Option<String>> = rows
            .iter()
            .map(|row| row.body.as_ref().map(|body| body.replace('\0', "\u{fffd}")))
            .collect();
        let input: Vec<Option<i64>> = rows.iter().map(|row| row.input_tokens).collect();
        let output: Vec<Option<i64>> = rows.iter().map(|row| row.output_tokens).collect();
        let row = self
            .main
            .one(
                "select fleet.put($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                &[
                    &workers, &runs, &seqs, &attempts, &finals, &kinds, &statuses, &bodies, &input,
                    &output,
                ],
            )
            .await?;
        Ok(unsigned(row.try_get::<_, i32>(0)?.into()))
    }

    async fn finish(&self, worker: WorkerId, chunk: &Chunk) -> Result<bool, FleetError> {
        let row = self
            .main
            .one(
                "select fleet.finish($1, $2, $3, $4)",
                &[&worker, &chunk.run, &chunk.no, &chunk.epoch],
            )
            .await?;
        Ok(row.try_get::<_, &str>(0)? == "done")
    }

    async fn give_back(&self, worker: WorkerId, chunk: &Chunk) -> Result<(), FleetError> {
        self.main
            .execute(
                "select fleet.give_back($1, $2, $3, $4)",
                &[&worker, &chunk.run, &chunk.no, &chunk.epoch],
            )
            .await
    }

    async fn save_remote(
        &self,
        worker: WorkerId,
        chunk: &Chunk,
        state: &str,
    ) -> Result<bool, FleetError> {
        let row = self
            .main
            .one(
                "select fleet.save_remote($1, $2, $3, $4, $5)",
                &[&worker, &chunk.run, &chunk.no, &chunk.epoch, &state],
            )
            .await?;
        Ok(row.try_get(0)?)
    }

    async fn set_state(
        &self,
        run: &str,
        state: RunState,
        reason: Option<&str>,
    ) -> Result<RunState, FleetError> {
        let row = self
            .main
            .one(
                "select fleet.set_state($1, $2, $3)",
                &[&run, &state.as_str(), &reason],
            )
            .await?;
        match row.try_get::<_, Option<&str>>(0)? {
            Some(state) => RunState::parse(state),
            None => Err(no_run(run)),
        }
    }

    async fn close_runs(&self, run: Option<i32>) -> Result<u64, FleetError> {
        let row = self
            .main
            .one("select fleet.close_runs($1)", &[&run])
            .await?;
        Ok(unsigned(row.try_get::<_, i32>(0)?.into()))
    }

    async fn run(&self, name: &str) -> Result<RunRow, FleetError> {
        let sql = "select id, limiter, config, state, items from fleet.run where name = $1";
        self.run_row(sql, &name).await?.ok_or_else(|| no_run(name))
    }

    async fn run_by_id(&self, id: i32) -> Result<RunRow, FleetError> {
        let sql = "select id, limiter, config, state, items from fleet.run where id = $1";
        let row = self.run_row(sql, &id).await?;
        row.ok_or_else(|| no_run(&id.to_string()))
    }

    async fn outcomes(
        &self,
        run: i32,
        after: i64,
        limit: i64,
    ) -> Result<Vec<OutcomeRow>, FleetError> {
        let sql = "select i.seq, i.key, r.kind, r.status, r.body from fleet.input i \
                   left join fleet.result r on r.run = i.run and r.seq = i.seq \
                   where i.run = $1 and i.seq > $2 and i.seq <= $2 + $3 order by i.seq";
        let rows = self.main.all(sql, &[&run, &after, &limit]).await?;
        let mut outcomes = Vec::with_capacity(rows.len());
        for row in rows {
            outcomes.push(OutcomeRow {
                seq: row.try_get(0)?,
                key: row.try_get(1)?,
                kind: row.try_get(2)?,
                status: row.try_get(3)?,
                body: row.try_get(4)?,
            });
        }
        Ok(outcomes)
    }

    async fn status(&self, run: Option<&str>) -> Result<Status, FleetError> {
        status::read(&self.main, run).await
    }
}

impl PostgresStore {
    async fn run_row(
        &self,
        sql: &'static str,
        key: &(dyn ToSql + Sync),
    ) -> Result<Option<RunRow>, FleetError> {
        let rows = self.main.all(sql, &[key]).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let row = RunRow::new(
            row.try_get(0)?,
            row.try_get(1)?,
            row.try_get(2)?,
            row.try_get(3)?,
            row.try_get(4)?,
        )?;
        Ok(Some(row))
    }
}

fn source(
    uri: Option<String>,
    place: Option<i64>,
    size: Option<i32>,
) -> Option<(String, u64, usize)> {
    let (place, size) = (u64::try_from(place?).ok()?, usize::try_from(size?).ok()?);
    Some((uri?, place, size))
}

fn no_run(name: &str) -> FleetError {
    FleetError::Refused(format!("there is no run `{name}`"))
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
