-- The schema of unifiedai-fleet for SQLite: the tables of fleet.sql without partitions. Times are microseconds since 1970.

create table limiter (
  id integer primary key,
  account text not null,
  model text not null,
  rpm real,
  tpm real,
  factor real not null default 1,
  factor_at integer not null default 0,
  not_before integer not null default 0,
  epoch integer not null default 0,
  strikes integer not null default 0,
  next_request integer not null default 0,
  next_token integer not null default 0,
  unique (account, model)
);
create table run (
  id integer primary key,
  name text not null unique,
  limiter integer not null references limiter,
  config text not null,
  state text not null default 'open',
  reason text,
  weight real not null,
  items integer not null default 0,
  chunks integer not null default 0,
  complete integer not null default 0,
  created_at integer not null
);
create table source (run integer not null, id integer not null, uri text not null, primary key (run, id), unique (run, uri));
create table input (
  run integer not null,
  seq integer not null,
  key text not null,
  body text,
  source integer,
  place integer,
  size integer,
  primary key (run, seq)
) without rowid;
create unique index input_key on input (run, key);
create table intent (run integer not null, seq integer not null, attempt integer not null, worker integer not null, at integer not null);
create index intent_item on intent (run, seq);
create table failure (
  run integer not null,
  seq integer not null,
  attempt integer not null,
  worker integer not null,
  kind text not null,
  status integer,
  at integer not null,
  primary key (run, seq, attempt, worker)
) without rowid;
create table result (
  run integer not null,
  seq integer not null,
  attempt integer not null,
  worker integer not null,
  kind text not null,
  status integer,
  body text,
  input_tokens integer,
  output_tokens integer,
  at integer not null,
  primary key (run, seq)
);
create table chunk (
  run integer not null,
  no integer not null,
  first integer not null,
  last integer not null,
  state text not null default 'r',
  returned integer not null default 0,
  owner integer,
  epoch integer not null default 0,
  lost integer not null default 0,
  leased_at integer,
  done_at integer,
  remote text,
  ok integer,
  failed integer,
  attempts integer,
  unknown integer,
  input_tokens integer,
  output_tokens integer,
  primary key (run, no)
) without rowid;
create index chunk_ready on chunk (run, returned, no) where state = 'r';
create index chunk_leased on chunk (owner) where state = 'l';
create table worker (
  id integer primary key autoincrement,
  host text not null,
  lease_seconds real not null,
  concurrency integer not null,
  started_at integer not null,
  seen_at integer not null,
  steady_at integer not null,
  leaving integer not null default 0,
  gone integer not null default 0,
  in_flight integer not null default 0,
  done integer not null default 0,
  rate real not null default 0
);
create table turn (n integer not null);
insert into turn values (0);
