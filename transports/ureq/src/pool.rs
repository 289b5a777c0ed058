//! Connections between their requests.

use crate::clock;
use http::{
    HeaderValue, Uri,
    uri::{Authority, Scheme},
};
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use unifiedai_transport::Time;
use ureq::{config::Config, unversioned::transport::Transport};

/// Where a connection leads. The proxy is the same for all of an agent's.
#[derive(Debug)]
pub(crate) struct Origin {
    scheme: Scheme,
    authority: Authority,
}

impl Origin {
    pub(crate) fn of(uri: &Uri) -> Option<Self> {
        Some(Origin {
            scheme: uri.scheme()?.clone(),
            authority: uri.authority()?.clone(),
        })
    }

    pub(crate) fn host(&self) -> &str {
        self.authority.host()
    }

    fn begins(&self, uri: &Uri) -> bool {
        uri.scheme() == Some(&self.scheme) && uri.authority().is_some_and(|other| self.is_at(other))
    }

    fn is_at(&self, authority: &Authority) -> bool {
        // Case does not matter, but to see that it is the same is cheaper.
        self.authority.as_str() == authority.as_str() || self.authority == *authority
    }
}

pub(crate) struct Connection {
    pub(crate) origin: Origin,
    /// The origin as a request names it.
    pub(crate) host: HeaderValue,
    pub(crate) transport: Box<dyn Transport>,
}

pub(crate) struct Pool {
    idle: Mutex<VecDeque<(Connection, Time)>>,
    most: usize,
    most_an_origin: usize,
    age: Duration,
}

impl Pool {
    pub(crate) fn new(config: &Config) -> Self {
        Pool {
            idle: Mutex::default(),
            most: config.max_idle_connections(),
            most_an_origin: config.max_idle_connections_per_host(),
            age: config.max_idle_age(),
        }
    }

    /// The connection used last of those that are still as they were left.
    pub(crate) fn take(&self, uri: &Uri, now: Time) -> Option<Connection> {
        loop {
            let (mut connection, _) = {
                let mut idle = self.fresh(now);
                let last = idle.iter().rposition(|(idle, _)| idle.origin.begins(uri))?;
                idle.remove(last)?
            };
            if connection.transport.is_open() {
                return Some(connection);
            }
        }
    }

    pub(crate) fn put(&self, connection: Connection) {
        let now = clock::now();
        let mut idle = self.fresh(now);
        if idle.len() >= self.most_an_origin {
            let origin = &connection.origin;
            let same = |(other, _): &&(Connection, Time)| {
                other.origin.scheme == origin.scheme && other.origin.is_at(&origin.authority)
            };
            if idle.iter().filter(same).count() >= self.most_an_origin {
                let oldest = idle.iter().position(|idle| same(&idle));
                oldest.and_then(|oldest| idle.remove(oldest));
            }
        }
        if self.most_an_origin > 0 {
            idle.push_back((connection, now));
        }
        while idle.len() > self.most {
            idle.pop_front();
        }
    }

    fn fresh(&self, now: Time) -> MutexGuard<'_, VecDeque<(Connection, Time)>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let is_old = |since: Time| now.saturating_since(since) >= self.age;
        while idle.front().is_some_and(|&(_, since)| is_old(since)) {
            idle.pop_front();
        }
        idle
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ureq::{
        Error,
        unversioned::transport::{Buffers, LazyBuffers, NextTimeout},
    };

    #[derive(Debug)]
    struct Socket {
        buffers: LazyBuffers,
        open: bool,
    }

    impl Transport for Socket {
        fn buffers(&mut self) -> &mut dyn Buffers {
            &mut self.buffers
        }

        fn transmit_output(&mut self, _: usize, _: NextTimeout) -> Result<(), Error> {
            Ok(())
        }

        fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
            Ok(false)
        }

        fn is_open(&mut self) -> bool {
            self.open
        }
    }

    fn origin(uri: &'static str) -> Origin {
        Origin::of(&Uri::from_static(uri)).unwrap()
    }

    /// A connection that is recognised by its `host`.
    fn connection(uri: &'static str, host: &'static str, open: bool) -> Connection {
        let buffers = LazyBuffers::new(1, 1);
        Connection {
            origin: origin(uri),
            host: HeaderValue::from_static(host),
            transport: Box::new(Socket { buffers, open }),
        }
    }

    fn taken(pool: &Pool, uri: &'static str) -> Option<HeaderValue> {
        let uri = Uri::from_static(uri);
        pool.take(&uri, clock::now())
            .map(|connection| connection.host)
    }

    fn pool(most: usize, most_an_origin: usize, age: Duration) -> Pool {
        let config = ureq::Agent::config_builder()
            .max_idle_connections(most)
            .max_idle_connections_per_host(most_an_origin)
            .max_idle_age(age)
            .build();
        Pool::new(&config)
    }

    const LONG: Duration = Duration::from_secs(1000);
    const A: &str = "http://a.example/";
    const B: &str = "https://a.example/";

    #[test]
    fn the_last_one_open_of_the_same_origin_is_taken() {
        let pool = pool(9, 9, LONG);
        pool.put(connection(A, "1", true));
        pool.put(connection(A, "2", true));
        pool.put(connection(A, "3", false));
        pool.put(connection(B, "4", true));
        assert_eq!(taken(&pool, "http://A.example/b").unwrap(), "2");
        assert_eq!(taken(&pool, A).unwrap(), "1");
        assert!(taken(&pool, A).is_none());
        assert_eq!(taken(&pool, B).unwrap(), "4");
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let pool = pool(3, 2, LONG);
        pool.put(connection(B, "1", true));
        for host in ["2", "3", "4"] {
            pool.put(connection(A, host, true));
        }
        assert_eq!(taken(&pool, B).unwrap(), "1");
        assert_eq!(taken(&pool, A).unwrap(), "4");
        assert_eq!(taken(&pool, A).unwrap(), "3");
        assert!(taken(&pool, A).is_none());
        for uri in [B, A, A, "http://b.example"] {
            pool.put(connection(uri, "5", true));
        }
        assert!(taken(&pool, B).is_none());
    }

    #[test]
    fn none_is_kept_where_none_may_be_or_for_no_time() {
        for pool in [
            pool(0, 9, LONG),
            pool(9, 0, LONG),
            pool(9, 9, Duration::ZERO),
        ] {
            pool.put(connection(A, "1", true));
            assert!(taken(&pool, A).is_none());
        }
    }
}
