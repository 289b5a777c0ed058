-- The schema of unifiedai-fleet for PostgreSQL 14 or later.
--
-- `fleet` applies this file by itself. The section of each version higher than that of the database runs once, the section of the
-- functions after it; all of them in one transaction, under an advisory lock. A line `--@ version N` or `--@ functions` begins a section.
--
-- Times are microseconds since 1970 by the clock of this server. Advisory locks: (7331, 0) migration, (7332, limiter) slots,
-- (7333, run) claims and submission, (7334, 0) the search for lost workers.

--@ version 1

create schema if not exists fleet;
create table fleet.version (version int not null);
insert into fleet.version values (0);

-- One rate limit: an account at a provider, and a model. The next free slots are sequences and not columns: a row that is updated hundreds
-- of times a second gets slow as soon as another transaction keeps its old versions alive; a sequence has none.
create table fleet.limiter (
  id int generated always as identity primary key,
  account text not null,
  model text not null,
  rpm double precision check (rpm > 0),
  tpm double precision check (tpm > 0),
  -- The share of the rate that is used since `factor_at`. It recovers with time, see fleet.current_factor.
  factor double precision not null default 1,
  factor_at timestamptz not null default now(),
  not_before bigint not null default 0,
  -- Counts reductions of the rate. A 429 of a call with an older epoch is not a second reduction.
  epoch int not null default 0,
  strikes int not null default 0,
  next_request regclass,
  next_token regclass,
  unique (account, model)
);

create table fleet.run (
  id int generated always as identity primary key,
  name text not null unique,
  limiter int not null references fleet.limiter,
  config text not null,
  state text not null default 'open' check (state in ('open', 'paused', 'cancelled', 'done')),
  reason text,
  weight double precision not null default 1 check (weight > 0),
  items bigint not null default 0,
  chunks int not null default 0,
  -- Whether an input was read to its end.
  complete boolean not null default false,
  next_chunk regclass,
  created_at timestamptz not null default now(),
  ended_at timestamptz
);

-- A file or object that holds inputs.
create table fleet.source (
  run int not null references fleet.run on delete cascade,
  id int not null,
  uri text not null,
  primary key (run, id),
  unique (run, uri)
);

-- `body` is the line's body, or the line is `size` bytes from `place` on in a source.
create table fleet.input (
  run int not null,
  seq bigint not null,
  key text not null,
  body text,
  source int,
  place bigint,
  size int,
  primary key (run, seq),
  unique (run, key)
) partition by list (run);

-- One row an attempt, written with its slot and before its call.
create table fleet.intent (
  run int not null,
  seq bigint not null,
  attempt int not null,
  worker bigint not null,
  at timestamptz not null default clock_timestamp()
) partition by list (run);
create index on fleet.intent (run, seq);

-- One row an attempt that is known to be over without an outcome: a failure that is tried again, a slot that was not used, or an
-- answer that came after another worker's.
create table fleet.failure (
  run int not null,
  seq bigint not null,
  attempt int not null,
  worker bigint not null,
  kind text not null,
  status int,
  at timestamptz not null default clock_timestamp(),
  primary key (run, seq, attempt, worker)
) partition by list (run);

-- The outcome of an item; the first one counts.
create table fleet.result (
  run int not null,
  seq bigint not null,
  attempt int not null,
  worker bigint not null,
  kind text not null,
  status int,
  body text,
  input_tokens bigint,
  output_tokens bigint,
  at timestamptz not null default clock_timestamp(),
  primary key (run, seq)
) partition by list (run);

-- The items from `first` to `last`, leased together. A chunk with a number below 0 holds one item of a chunk that lost its owners.
create table fleet.chunk (
  run int not null references fleet.run on delete cascade,
  no bigint not null,
  first bigint not null,
  last bigint not null,
  -- ready, leased, done, split
  state "char" not null default 'r',
  -- Whether it is ready again: the run's counter has passed it.
  returned boolean not null default false,
  owner bigint,
  -- Counts leases.
  epoch int not null default 0,
  -- Counts owners that were lost while a call of this chunk was in progress.
  lost int not null default 0,
  leased_at timestamptz,
  done_at timestamptz,
  -- The state of the provider's batch, if the chunk is one.
  remote text,
  ok int,
  failed int,
  attempts int,
  -- Attempts whose end is not known.
  unknown int,
  input_tokens bigint,
  output_tokens bigint,
  kinds jsonb,
  primary key (run, no)
);
create index on fleet.chunk (run, no) where state = 'r';
create index on fleet.chunk (run, no) where state = 'r' and returned;
create index on fleet.chunk (owner) where state = 'l';
create index on fleet.chunk (run) where state = 'l';

-- One row each start of a worker.
create table fleet.worker (
  id bigint generated always as identity primary key,
  host text not null,
  lease_seconds double precision not null,
  concurrency int not null,
  started_at timestamptz not null default now(),
  seen_at timestamptz not null default now(),
  -- Since when its signs of life have come without a gap.
  steady_at timestamptz not null default now(),
  leaving boolean not null default false,
  gone boolean not null default false,
  in_flight int not null default 0,
  done bigint not null default 0,
  rate double precision not null default 0
);
-- A worker whose lease ended. It never works again under this id, and it gets no slots.
create table fleet.lost_worker (
  id bigint primary key,
  at timestamptz not null default now()
);

create sequence fleet.claim_turn;
create sequence fleet.live_workers minvalue 0 start 0;
-- When a worker last looked for lost ones.
create sequence fleet.last_search minvalue 0 start 0;

--@ functions

create or replace function fleet.now_us() returns bigint language sql volatile as
$$ select (extract(epoch from clock_timestamp()) * 1000000)::bigint $$;

-- The rate recovers by 2 % of the configured one each 10 s.
create or replace function fleet.current_factor(p_factor double precision, p_at timestamptz) returns double precision language sql volatile as
$$ select least(1, p_factor + 0.02 * floor(extract(epoch from clock_timestamp() - p_at) / 10)) $$;

create or replace function fleet.register(p_host text, p_lease double precision, p_concurrency int) returns bigint language sql as
$$ insert into fleet.worker (host, lease_seconds, concurrency) values (p_host, p_lease, p_concurrency) returning id $$;

-- Opens a run, or finds the one of this name. The caller compares the configuration.
create or replace function fleet.open_run(p_name text, p_config text, p_account text, p_model text,
    p_rpm double precision, p_tpm double precision, p_weight double precision)
  returns table (id int, config text, is_new boolean, items bigint, state text) language plpgsql as
$$
declare v_limiter int; v_run int;
begin
  perform pg_advisory_xact_lock(7331, 1);
  return query select r.id, r.config, false, r.items, r.state from fleet.run r where r.name = p_name;
  if found then return; end if;
  select l.id into v_limiter from fleet.limiter l where l.account = p_account and l.model = p_model;
  if not found then
    insert into fleet.limiter (account, model, rpm, tpm) values (p_account, p_model, p_rpm, p_tpm) returning fleet.limiter.id into v_limiter;
    execute format('create sequence fleet.limiter_%s_request minvalue 0 start 0', v_limiter);
    execute format('create sequence fleet.limiter_%s_token minvalue 0 start 0', v_limiter);
    update fleet.limiter l set next_request = format('fleet.limiter_%s_request', v_limiter)::regclass,
      next_token = format('fleet.limiter_%s_token', v_limiter)::regclass where l.id = v_limiter;
  else
    -- The account has one limit, and the last run that names one states it.
    update fleet.limiter l set rpm = coalesce(p_rpm, l.rpm), tpm = coalesce(p_tpm, l.tpm) where l.id = v_limiter;
  end if;
  insert into fleet.run (name, limiter, config, weight) values (p_name, v_limiter, p_config, p_weight) returning fleet.run.id into v_run;
  execute format('create sequence fleet.run_%s_chunk minvalue 0 start 1', v_run);
  update fleet.run r set next_chunk = format('fleet.run_%s_chunk', v_run)::regclass where r.id = v_run;
  execute format('create table fleet.input_%1$s partition of fleet.input for values in (%1$s)', v_run);
  execute format('create table fleet.intent_%1$s partition of fleet.intent for values in (%1$s)', v_run);
  execute format('create table fleet.failure_%1$s partition of fleet.failure for values in (%1$s)', v_run);
  execute format('create table fleet.result_%1$s partition of fleet.result for values in (%1$s)', v_run);
  return query select r.id, r.config, true, r.items, r.state from fleet.run r where r.id = v_run;
end $$;

-- Adds the inputs whose keys the run does not have, cut into chunks. Returns how many it added.
create or replace function fleet.add_inputs(p_run int, p_keys text[], p_bodies text[], p_source text, p_places bigint[], p_sizes int[], p_chunk int)
  returns int language plpgsql as
$$
declare v_items bigint; v_chunks int; v_added int; v_new int; v_source int; v_state text; v_changed text;
begin
  perform pg_advisory_xact_lock(7333, p_run);
  select items, chunks, state into strict v_items, v_chunks, v_state from fleet.run where id = p_run;
  if p_source is not null then
    insert into fleet.source (run, id, uri) select p_run, count(*), p_source from fleet.source where run = p_run on conflict do nothing;
    select id into strict v_source from fleet.source where run = p_run and uri = p_source;
  end if;
  select u.key into v_changed from unnest(p_keys, p_bodies) as u(key, body) join fleet.input i on i.run = p_run and i.key = u.key
    where i.body is distinct from u.body limit 1;
  if found then
    raise exception 'the id `%` is in the run with another body', v_changed using errcode = 'FL003';
  end if;
  with given as (
    select distinct on (u.key) u.key, u.body, u.place, u.size, u.n
    from unnest(p_keys, p_bodies, p_places, p_sizes) with ordinality as u(key, body, place, size, n)
    where not exists (select from fleet.input i where i.run = p_run and i.key = u.key)
    order by u.key, u.n
  )
  insert into fleet.input (run, seq, key, body, source, place, size)
    select p_run, v_items + row_number() over (order by n), key, body, v_source, place, size from given;
  get diagnostics v_added = row_count;
  if v_added = 0 then return 0; end if;
  if v_state not in ('open', 'paused', 'done') then
    raise exception 'the run is %: it takes no more items', v_state using errcode = 'FL003';
  end if;
  insert into fleet.chunk (run, no, first, last)
    select p_run, v_chunks + c, v_items + (c - 1) * p_chunk + 1, v_items + least(c * p_chunk, v_added)
    from generate_series(1, (v_added + p_chunk - 1) / p_chunk) c;
  get diagnostics v_new = row_count;
  update fleet.run set items = v_items + v_added, chunks = v_chunks + v_new,
    state = case when state = 'done' then 'open' else state end, ended_at = null where id = p_run;
  return v_added;
end $$;

-- Leases one chunk of an open run. The runs share claims by their weights: the turns of a counter are spread evenly over [0, 1) by the
-- golden ratio, and each run has a part of [0, 1) as large as its weight.
create or replace function fleet.claim(p_worker bigint, p_run int, p_take_single boolean)
  returns table (run int, no bigint, epoch int, first bigint, last bigint, remote text) language plpgsql as
$$
declare v_turn double precision; v_run record; v_no bigint; v_total double precision;
begin
  if exists (select from fleet.lost_worker l where l.id = p_worker) then
    raise exception 'worker % was lost: its lease ended', p_worker using errcode = 'FL002';
  end if;
  v_turn := nextval('fleet.claim_turn') * 0.6180339887498949;
  v_turn := v_turn - floor(v_turn);
  for v_run in
    with open as (
      select r.id, r.chunks, r.next_chunk, r.weight, sum(r.weight) over (order by r.id) as upto, sum(r.weight) over () as total from fleet.run r
      where r.state = 'open' and (p_run is null or r.id = p_run)
        and (coalesce(pg_sequence_last_value(r.next_chunk), 0) < r.chunks
          or exists (select from fleet.chunk c where c.run = r.id and c.state = 'r' and c.returned and (p_take_single or c.no > 0)))
    )
    -- The chosen run first; the others follow in case that it has nothing left.
    select o.* from open o order by (v_turn * o.total >= o.upto), o.id
  loop
    perform pg_advisory_xact_lock(7333, v_run.id);
    select c.no into v_no from fleet.chunk c
      where c.run = v_run.id and c.state = 'r' and c.returned and (p_take_single or c.no > 0)
      order by c.no desc limit 1 for update skip locked;
    if not found then
      if coalesce(pg_sequence_last_value(v_run.next_chunk), 0) >= v_run.chunks then continue; end if;
      v_no := nextval(v_run.next_chunk);
    end if;
    return query update fleet.chunk c
      set state = 'l', owner = p_worker, epoch = c.epoch + 1, returned = false, leased_at = now()
      where c.run = v_run.id and c.no = v_no and c.state = 'r'
      returning c.run, c.no, c.epoch, c.first, c.last, c.remote;
    if found then return; end if;
  end loop;
end $$;

-- The items of a chunk that have no outcome. `tries` counts their intents, `unknown` those of them whose end is not known.
create or replace function fleet.load(p_run int, p_first bigint, p_last bigint)
  returns table (seq bigint, body text, uri text, place bigint, size int, tries int, throttled int, unknown int) language sql stable as
$$
  select i.seq, i.body, s.uri, i.place, i.size, coalesce(t.n, 0)::int, coalesce(f.throttled, 0)::int,
    greatest(0, coalesce(t.n, 0) - coalesce(f.n, 0))::int
  from fleet.input i
  left join fleet.source s on s.run = i.run and s.id = i.source
  left join lateral (select count(*) n from fleet.intent t where t.run = p_run and t.seq = i.seq) t on true
  left join lateral (select count(*) n, count(*) filter (where kind in ('rate_limit', 'overloaded', 'connection', 'not_sent')) throttled
    from fleet.failure f where f.run = p_run and f.seq = i.seq) f on true
  where i.run = p_run and i.seq between p_first and p_last
    and not exists (select from fleet.result r where r.run = p_run and r.seq = i.seq)
  order by i.seq
$$;

-- Hands out slots in the order of the items, at most 1 s ahead. A slot is a delay in microseconds from now; -1 is the value of an item of a run
-- that is not open. Fewer slots than items are a reason to ask again after `retry_us`. `p_settle` is the number of estimated tokens of
-- earlier calls that were not used; it is negative if they used more.
create or replace function fleet.grant_slots(p_worker bigint, p_limiter int, p_runs int[], p_seqs bigint[], p_attempts int[], p_tokens int[], p_settle bigint)
  returns table (slots bigint[], epoch int, retry_us bigint) language plpgsql as
$$
declare
  l record; v_open int[]; v_now bigint; v_r bigint; v_t bigint; v_slot bigint; v_cap int; v_given int := 0;
  v_rate double precision; v_tokens double precision; v_factor double precision; v_slots bigint[] := '{}'; v_retry bigint := 0;
  c_ahead constant bigint := 1000000;
begin
  -- A grant that is lost with the server costs at most the slots of a moment.
  perform set_config('synchronous_commit', 'off', true);
  perform pg_advisory_xact_lock(7332, p_limiter);
  if exists (select from fleet.lost_worker w where w.id = p_worker) then
    raise exception 'worker % was lost: its lease ended', p_worker using errcode = 'FL002';
  end if;
  select * into strict l from fleet.limiter x where x.id = p_limiter;
  select coalesce(array_agg(id), '{}') into v_open from fleet.run where state = 'open' and id = any (p_runs);
  v_factor := fleet.current_factor(l.factor, l.factor_at);
  v_rate := l.rpm * v_factor / 60000000;
  v_tokens := l.tpm * v_factor / 60000000;
  v_now := fleet.now_us();
  v_r := coalesce(pg_sequence_last_value(l.next_request), 0);
  v_t := coalesce(pg_sequence_last_value(l.next_token), 0);
  if v_tokens is not null and p_settle <> 0 then
    v_t := greatest(v_t, v_now - 1000000) - (p_settle / v_tokens)::bigint;
  end if;
  v_cap := greatest(1, ceil(1.5 * coalesce(v_rate * c_ahead, 1000000)
    / greatest(1, coalesce(pg_sequence_last_value('fleet.live_workers'), 1))));
  for i in 1 .. coalesce(array_length(p_seqs, 1), 0) loop
    if not p_runs[i] = any (v_open) then
      v_slots := v_slots || -1::bigint;
      continue;
    end if;
    v_slot := greatest(v_now, v_r, v_t, l.not_before);
    if v_slot > v_now + c_ahead or v_given >= v_cap then
      v_retry := greatest(20000, least(v_slot - v_now - 300000, 5000000));
      exit;
    end if;
    v_r := v_slot + coalesce(ceil(1 / v_rate), 0)::bigint;
    v_t := v_slot + coalesce(ceil(p_tokens[i] / v_tokens), 0)::bigint;
    v_slots := v_slots || v_slot - v_now;
    v_given := v_given + 1;
  end loop;
  insert into fleet.intent (run, seq, attempt, worker)
    select u.run, u.seq, u.attempt, p_worker from unnest(p_runs, p_seqs, p_attempts, v_slots) as u(run, seq, attempt, slot) where u.slot >= 0;
  if v_rate is not null and v_given > 0 then perform setval(l.next_request, greatest(v_r, 0)); end if;
  if v_tokens is not null then perform setval(l.next_token, greatest(v_t, 0)); end if;
  return query select v_slots, l.epoch, v_retry;
end $$;

-- Holds all workers back. `p_factor` below 1 also lowers the rate, once an epoch. Without `p_retry_us` the wait doubles from 1 s to 60 s.
create or replace function fleet.penalise(p_limiter int, p_epoch int, p_retry_us bigint, p_factor double precision)
  returns boolean language plpgsql as
$$
declare l record; v_now bigint; v_wait bigint; v_strikes int;
begin
  perform pg_advisory_xact_lock(7332, p_limiter);
  select * into strict l from fleet.limiter x where x.id = p_limiter;
  v_now := fleet.now_us();
  if p_factor >= 1 or l.epoch <> p_epoch then
    if p_retry_us is not null and v_now + p_retry_us > l.not_before then
      update fleet.limiter set not_before = v_now + p_retry_us where id = p_limiter;
    end if;
    return false;
  end if;
  v_strikes := case when l.factor_at > now() - interval '2 minutes' then l.strikes + 1 else 1 end;
  v_wait := coalesce(p_retry_us, (least(60, power(2, least(v_strikes, 7) - 1)) * (0.75 + random() / 2) * 1000000)::bigint);
  update fleet.limiter set not_before = greatest(not_before, v_now + v_wait), strikes = v_strikes, epoch = l.epoch + 1,
    factor = greatest(0.02, fleet.current_factor(l.factor, l.factor_at) * p_factor), factor_at = clock_timestamp() where id = p_limiter;
  return true;
end $$;

-- Stores outcomes (`p_final`) and attempts without one. Repeating it changes nothing. Returns how many outcomes came too late.
create or replace function fleet.put(p_workers bigint[], p_runs int[], p_seqs bigint[], p_attempts int[], p_final boolean[], p_kinds text[],
    p_statuses int[], p_bodies text[], p_input bigint[], p_output bigint[])
  returns int language sql as
$$
  with given as (
    select * from unnest(p_workers, p_runs, p_seqs, p_attempts, p_final, p_kinds, p_statuses, p_bodies, p_input, p_output)
      as u(worker, run, seq, attempt, final, kind, status, body, input, output)
  ), stored as (
    insert into fleet.result (run, seq, attempt, worker, kind, status, body, input_tokens, output_tokens)
      select run, seq, attempt, worker, kind, status, body, input, output from given where final order by run, seq
      on conflict do nothing returning run, seq
  ), late as (
    select g.* from given g
      where g.final and not exists (select from stored s where s.run = g.run and s.seq = g.seq)
        and not exists (select from fleet.result r where r.run = g.run and r.seq = g.seq and r.worker = g.worker and r.attempt = g.attempt)
  ), others as (
    insert into fleet.failure (run, seq, attempt, worker, kind, status)
      select run, seq, attempt, worker, case when final then 'late' else kind end, status from (
        select * from given where not final union all select * from late
      ) f order by run, seq on conflict do nothing
  )
  select count(*)::int from late
$$;

-- Ends a lease. `done` if each item has its outcome and the lease is still this worker's, `open` if items are left, else `lost`.
create or replace function fleet.finish(p_worker bigint, p_run int, p_no bigint, p_epoch int) returns text language plpgsql as
$$
declare c record; s record; v_intents int; v_unknown int := 0; v_kinds jsonb;
begin
  select * into c from fleet.chunk x where x.run = p_run and x.no = p_no and x.owner = p_worker and x.epoch = p_epoch and x.state = 'l' for update;
  if not found then return 'lost'; end if;
  select count(*) n, count(*) filter (where kind = 'ok') ok, sum(input_tokens) input, sum(output_tokens) output into s
    from fleet.result r where r.run = p_run and r.seq between c.first and c.last;
  if s.n < c.last - c.first + 1 then return 'open'; end if;
  select count(*) into v_intents from fleet.intent r where r.run = p_run and r.seq between c.first and c.last;
  if v_intents <> s.n or s.ok <> s.n then
    select count(*) into v_unknown from fleet.intent t where t.run = p_run and t.seq between c.first and c.last
      and not exists (select from fleet.failure f where f.run = p_run and f.seq = t.seq and f.attempt = t.attempt and f.worker = t.worker)
      and not exists (select from fleet.result r where r.run = p_run and r.seq = t.seq and r.attempt = t.attempt and r.worker = t.worker);
    select jsonb_object_agg(kind, n) into v_kinds from (
      select kind, count(*) n from (
        select kind from fleet.failure f where f.run = p_run and f.seq between c.first and c.last
        union all select kind from fleet.result r where r.run = p_run and r.seq between c.first and c.last and kind <> 'ok'
      ) k group by kind) g;
  end if;
  update fleet.chunk set state = 'd', done_at = clock_timestamp(), ok = s.ok, failed = s.n - s.ok, attempts = v_intents, unknown = v_unknown,
    input_tokens = s.input, output_tokens = s.output, kinds = v_kinds, remote = null where run = p_run and no = p_no;
  return 'done';
end $$;

-- Gives a lease back. The chunk is ready for another worker.
create or replace function fleet.give_back(p_worker bigint, p_run int, p_no bigint, p_epoch int) returns boolean language sql as
$$
  with given as (update fleet.chunk set state = 'r', returned = true, owner = null
    where run = p_run and no = p_no and owner = p_worker and epoch = p_epoch and state = 'l' returning 1)
  select exists (select from given)
$$;

-- Saves the state of a provider's batch. False if the lease is not this worker's.
create or replace function fleet.save_remote(p_worker bigint, p_run int, p_no bigint, p_epoch int, p_remote text) returns boolean language sql as
$$
  with saved as (update fleet.chunk set remote = p_remote
    where run = p_run and no = p_no and owner = p_worker and epoch = p_epoch and state = 'l' returning 1)
  select exists (select from saved)
$$;

-- Returns a chunk of a worker that is gone. A chunk that lost three owners with a call in progress is split into its items. An item
-- that lost three more by itself gets the outcome `poison`.
create or replace function fleet.recover_chunk(p_run int, p_no bigint, p_worker bigint) returns void language plpgsql as
$$
declare c record; v_lost int;
begin
  select * into c from fleet.chunk x where x.run = p_run and x.no = p_no and x.owner = p_worker and x.state = 'l' for update skip locked;
  if not found then return; end if;
  v_lost := c.lost;
  if exists (select from fleet.intent t where t.run = p_run and t.seq between c.first and c.last and t.worker = p_worker
      and not exists (select from fleet.failure f where f.run = p_run and f.seq = t.seq and f.attempt = t.attempt and f.worker = p_worker)
      and not exists (select from fleet.result r where r.run = p_run and r.seq = t.seq)) then
    v_lost := v_lost + 1;
  end if;
  if v_lost < 3 or c.remote is not null then
    update fleet.chunk set state = 'r', returned = true, owner = null, lost = v_lost where run = p_run and no = p_no;
  elsif p_no > 0 then
    -- The chunk keeps the items that have an outcome, so that sums over chunks count each item once.
    insert into fleet.chunk (run, no, first, last, returned)
      select p_run, -i, i, i, true from generate_series(c.first, c.last) i on conflict do nothing;
    update fleet.chunk set state = 'x', owner = null, lost = v_lost where run = p_run and no = p_no;
  else
    insert into fleet.result (run, seq, attempt, worker, kind) values (p_run, c.first, 0, 0, 'poison') on conflict do nothing;
    perform fleet.finish(p_worker, p_run, p_no, c.epoch);
  end if;
end $$;

-- The sign of life of a worker. `alive` is false after its lease ended. One worker at a time also looks for lost ones.
create or replace function fleet.beat(p_worker bigint, p_leaving boolean, p_in_flight int, p_done bigint, p_rate double precision)
  returns boolean language plpgsql as
$$
declare c record; v_steady boolean; v_lease double precision;
begin
  if exists (select from fleet.lost_worker l where l.id = p_worker) then return false; end if;
  update fleet.worker set leaving = p_leaving, in_flight = p_in_flight, done = p_done, rate = p_rate, seen_at = clock_timestamp(),
      steady_at = case when seen_at < clock_timestamp() - lease_seconds / 2 * interval '1 second' then clock_timestamp() else steady_at end
    where id = p_worker returning steady_at < clock_timestamp() - lease_seconds * interval '1 second', lease_seconds into v_steady, v_lease;
  if coalesce(pg_sequence_last_value('fleet.last_search'), 0) > fleet.now_us() - least(v_lease / 8, 5) * 1000000
    or not pg_try_advisory_xact_lock(7334, 0) then return true; end if;
  perform setval('fleet.live_workers', greatest(1, (select count(*) from fleet.worker w where not w.gone and not w.leaving)));
  -- After the server was away all workers were silent. One that was itself silent cannot know which of the others are gone.
  if not v_steady then return true; end if;
  perform setval('fleet.last_search', fleet.now_us());
  with lost as (
    update fleet.worker w set gone = true
      where not w.gone and w.id <> p_worker and w.seen_at < clock_timestamp() - w.lease_seconds * interval '1 second' returning w.id
  )
  insert into fleet.lost_worker (id) select id from lost on conflict do nothing;
  for c in select x.run, x.no, x.owner from fleet.lost_worker l join fleet.chunk x on x.owner = l.id and x.state = 'l' loop
    perform fleet.recover_chunk(c.run, c.no, c.owner);
  end loop;
  -- A claim that was rolled back leaves a chunk behind its run's counter. It is found while the counter is near.
  update fleet.chunk x set returned = true from fleet.run r
    where r.id = x.run and r.state in ('open', 'paused') and x.state = 'r' and not x.returned and x.no > 0
      and x.no <= coalesce(pg_sequence_last_value(r.next_chunk), 0) and x.no > coalesce(pg_sequence_last_value(r.next_chunk), 0) - 10000;
  return true;
end $$;

-- The end of a worker that gave its work back.
create or replace function fleet.leave(p_worker bigint) returns void language sql as
$$
  update fleet.chunk set state = 'r', returned = true, owner = null where owner = p_worker and state = 'l';
  update fleet.worker set gone = true, leaving = true, in_flight = 0, rate = 0 where id = p_worker;
  insert into fleet.lost_worker (id) values (p_worker) on conflict do nothing;
$$;

-- Changes the state of a run. Returns the state that it has then; null if there is no such run.
create or replace function fleet.set_state(p_name text, p_state text, p_reason text) returns text language plpgsql as
$$
declare v_state text;
begin
  update fleet.run set state = p_state, reason = p_reason, ended_at = case when p_state = 'cancelled' then now() end
    where name = p_name and case p_state when 'open' then state = 'paused' when 'paused' then state = 'open' else state in ('open', 'paused') end;
  select state into v_state from fleet.run where name = p_name;
  return v_state;
end $$;

-- Marks runs as done whose input is complete and whose chunks all are. Returns how many runs are left to work on.
create or replace function fleet.close_runs(p_run int) returns int language plpgsql as
$$
begin
  update fleet.run r set state = 'done', ended_at = now()
    where r.state = 'open' and r.complete and (p_run is null or r.id = p_run)
      and coalesce(pg_sequence_last_value(r.next_chunk), 0) >= r.chunks
      and not exists (select from fleet.chunk c where c.run = r.id and c.state = 'r')
      and not exists (select from fleet.chunk c where c.run = r.id and c.state = 'l');
  return (select count(*) from fleet.run r where r.state in ('open', 'paused') and (p_run is null or r.id = p_run));
end $$;

-- Removes a run with all that belongs to it. Its space is given back at once.
create or replace function fleet.drop_run(p_name text) returns boolean language plpgsql as
$$
declare v_run int;
begin
  select id into v_run from fleet.run where name = p_name and state in ('done', 'cancelled');
  if not found then return false; end if;
  execute format('drop table fleet.input_%1$s, fleet.intent_%1$s, fleet.failure_%1$s, fleet.result_%1$s', v_run);
  execute format('drop sequence fleet.run_%s_chunk', v_run);
  delete from fleet.run where id = v_run;
  return true;
end $$;
