//! Slots and penalties, by the rule of [`Pace`].

use super::{chunks, now};
use crate::{
    FleetError,
    pace::Pace,
    store::{Grant, Wanted, WorkerId},
};
use rusqlite::Transaction;
use std::hash::{BuildHasher, RandomState};

pub(super) fn grant(
    db: &Transaction<'_>,
    worker: WorkerId,
    limiter: i32,
    wanted: &[Wanted],
    settle: i64,
) -> Result<Grant, FleetError> {
    chunks::check_lease(db, worker)?;
    let mut pace = read(db, limiter)?;
    let now = now();
    let mut is_open = db.prepare_cached("select state = 'open' from run where id = ?1")?;
    let mut open = Vec::new();
    for item in wanted {
        open.push(is_open.query_row([item.run], |row| row.get::<_, bool>(0))?);
    }
    let workers: i64 = db.query_row(
        "select count(*) from worker where not gone and not leaving",
        [],
        |row| row.get(0),
    )?;
    let tokens: Vec<i32> = wanted
        .iter()
        .zip(&open)
        .filter(|(_, open)| **open)
        .map(|(item, _)| item.tokens)
        .collect();
    let workers = usize::try_from(workers).unwrap_or(1);
    let (given, retry) = pace.grant(now, &tokens, settle, workers);
    let mut given = given.into_iter();
    let mut grant = Grant {
        slots: Vec::new(),
        epoch: pace.epoch,
        retry_us: u64::try_from(retry).unwrap_or(0),
    };
    let mut insert = db.prepare_cached(
        "insert into intent (run, seq, attempt, worker, at) values (?1, ?2, ?3, ?4, ?5)",
    )?;
    for (item, open) in wanted.iter().zip(open) {
        if !open {
            grant.slots.push(None);
            continue;
        }
        let Some(slot) = given.next() else {
            break;
        };
        insert.execute((item.run, item.seq, item.attempt, worker, now))?;
        grant.slots.push(u64::try_from(slot).ok());
    }
    write(db, limiter, &pace)?;
    Ok(grant)
}

pub(super) fn penalise(
    db: &Transaction<'_>,
    limiter: i32,
    epoch: i32,
    retry_after: Option<i64>,
    factor: f64,
) -> Result<bool, FleetError> {
    let mut pace = read(db, limiter)?;
    let random = RandomState::new().hash_one(0) >> 11;
    let jitter = random as f64 / (1_u64 << 53) as f64;
    let is_lowered = pace.penalise(now(), epoch, retry_after, factor, jitter);
    write(db, limiter, &pace)?;
    Ok(is_lowered)
}

fn read(db: &Transaction<'_>, limiter: i32) -> Result<Pace, FleetError> {
    let mut statement = db.prepare_cached(
        "select rpm, tpm, factor, factor_at, not_before, epoch, strikes, next_request, next_token from limiter where id = ?1",
    )?;
    let pace = statement.query_row([limiter], |row| {
        Ok(Pace {
            rpm: row.get(0)?,
            tpm: row.get(1)?,
            factor: row.get(2)?,
            factor_at: row.get(3)?,
            not_before: row.get(4)?,
            epoch: row.get(5)?,
            strikes: row.get(6)?,
            next_request: row.get(7)?,
            next_token: row.get(8)?,
        })
    })?;
    Ok(pace)
}

fn write(db: &Transaction<'_>, limiter: i32, pace: &Pace) -> Result<(), FleetError> {
    let mut statement = db.prepare_cached(
        "update limiter set factor = ?2, factor_at = ?3, not_before = ?4, epoch = ?5, strikes = ?6, next_request = ?7, \
         next_token = ?8 where id = ?1",
    )?;
    statement.execute((
        limiter,
        pace.factor,
        pace.factor_at,
        pace.not_before,
        pace.epoch,
        pace.strikes,
        pace.next_request,
        pace.next_token,
    ))?;
    Ok(())
}
